"""The closed form of linear flows against mpmath, and against the invariance flow's."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from matrix_cases import distance

from dynamics import invariance
from dynamics.linear_flow import LinearFlow


@pytest.mark.parametrize(("k", "d"), [(5, 5), (3, 6), (6, 3)])
def test_closed_form_keeps_the_digits_of_the_whole_spectrum(k: int, d: int) -> None:
    rng = np.random.default_rng(0)
    W0, X = rng.standard_normal((k, d)), rng.standard_normal((d, d))
    flow = LinearFlow.of(W0, X @ X.T, np.array([0.0, 0.5, 2.0, 14.0]))
    mpmath.mp.dps = 600
    for i, t in enumerate(flow.t):
        Y = mpmath.matrix(flow.Y.tolist()) * mpmath.diag([mpmath.e ** (-mpmath.mpf(t * r)) for r in flow.rates])
        true = sorted(
            float(mpmath.log(abs(e)) / 2) for e in mpmath.eigsy(Y * Y.T if k <= d else Y.T * Y, eigvals_only=True)
        )
        assert np.allclose(
            flow.log_singular_values()[i], true[::-1], rtol=1e-13, atol=1e-9
        )  # GRADED: 1e-10; t r rounds too
    spread = flow.log_singular_values()[3]
    assert spread[0] - spread[-1] > 8 * np.log(10)  # beyond what W Wᵀ can hold:
    lost = np.linalg.eigvalsh(flow.W(3) @ flow.W(3).T if k <= d else flow.W(3).T @ flow.W(3))[0]
    # 1e-300: a log of what rounding made 0 or less; 1e-3: no digit of the true one is left
    assert not np.isclose(np.log(max(lost, 1e-300)) / 2, spread[-1], atol=1e-3)


def test_closed_form_is_that_of_the_invariance_flow() -> None:
    rng, eta, t = np.random.default_rng(1), 0.1, np.linspace(0, 3, 4)
    W0, X = rng.standard_normal((3, 5)), rng.standard_normal((5, 4))  # S is singular
    S = X @ X.T
    flow, W = LinearFlow.of(W0, S + eta * np.eye(5), t), invariance.closed_form(W0, S + eta * np.eye(5), t)
    assert distance(np.stack(list(flow)), W) < 1e-13  # the same products: rounding only
    assert np.allclose(flow.loss(eta), np.einsum("tij,jk,tik->t", W, S, W) / 2, rtol=1e-12, atol=1e-14)  # rounding only
    assert np.allclose(flow.norm(), np.linalg.norm(W, axis=(1, 2)), rtol=1e-13)  # rounding only
    assert np.allclose(
        flow.log_singular_values(), np.log(np.linalg.svd(W, compute_uv=False)), atol=1e-8
    )  # an SVD's own digits
    q = np.linalg.svd(W, compute_uv=False) ** 2
    q /= q.sum(-1, keepdims=True)
    assert np.allclose(flow.effective_rank(), np.exp(-(q * np.log(q)).sum(-1)), rtol=1e-10)  # of a spectrum to 1e-12
    for wrong, says in (
        (W0 * 1j, "not made of real"),
        ([[1, 2], [3]], "not made of real"),
        (W0[:, :0], "k and d >= 1"),
    ):
        with pytest.raises(ValueError, match=says):
            LinearFlow.of(wrong, S[: np.shape(wrong)[1], :0] if says[0] == "k" else S, t)
    with pytest.raises(ValueError, match="symmetric"):
        LinearFlow.of(W0, rng.standard_normal((5, 5)), t)


def test_growth_beyond_the_range_of_numbers_is_refused_where_it_shows() -> None:
    """Without predictor a direction of C > A grows; the logarithms of singular values have room for any growth."""
    flow = LinearFlow.of(np.eye(2), np.diag([-1.0, 0.5]), np.array([0.0, 400.0, 800.0]))
    assert flow.W(1)[0, 0] == pytest.approx(np.exp(400))  # within the range, as its square is not
    np.testing.assert_allclose(flow.log_singular_values()[:, 0], [0, 400, 800], rtol=1e-14)  # rounding
    assert (flow.effective_rank() >= 1).all()
    for beyond in (lambda: flow.W(2), flow.norm, flow.loss, lambda: list(flow)):
        with pytest.raises(OverflowError, match="beyond the range of numbers: give earlier times"):
            beyond()
