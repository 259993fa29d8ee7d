"""The fast matrix flows against the plain ones, their methods against their orders, their closed form against mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from dynamics import invariance, predictor
from dynamics import matrix_kernel as kernel
from dynamics.linear_flow import LinearFlow
from dynamics.matrix_flow import (
    FlowError,
    MatrixFlow,
    info_nce_flow,
    info_nce_sample_flow,
    predictor_flow,
)
from dynamics.solver import RTOL, SolverError, integrate
from full_models.losses import info_nce

GLOBAL = 1e3 * RTOL  # as in test_dynamics: a global error may exceed the local tolerance by the flow's amplification
TIMES = np.linspace(0.0, 4.0, 7)


def distance(a, b) -> float:
    return float(np.abs(a - b).max())


def problem(seed: int, k: int, d: int, commuting: bool) -> dict:
    """W0, P0, A, C: C = A shrunk where they should commute, and non-symmetric (a rotation of the second view) where not."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((d, 2 * d)) / np.sqrt(2 * d)
    X = X @ X.T
    N = 0.3 * np.diag(rng.random(d)) if not commuting else 0.3 * np.eye(d)
    R = np.eye(d) if commuting else np.linalg.qr(rng.standard_normal((d, d)))[0]
    W0, P0 = 0.7 * rng.standard_normal((k, d)) / np.sqrt(d), 0.7 * rng.standard_normal((k, k)) / np.sqrt(k)
    return {"W0": W0, "P0": P0, "A": (X + X.T) / 2 + N, "C": X @ R.T}


def plain(q: dict, t=TIMES, V0=None, alpha_p=1.0, eta=0.0, eta_p=None, beta=1.0) -> tuple[np.ndarray, np.ndarray]:
    """(W, P) (T, ...) by dynamics.solver on dynamics.predictor's fields, which share no line with the kernel."""
    k, d = q["W0"].shape
    cut = (k * d, k * d + k * k)

    def field(_: float, y):
        W, P, V = (X.reshape(1, k, -1) for X in np.split(y, cut, axis=1))
        V = V if V0 is not None else W
        dW, dP = predictor.field(W, P, V, q["A"], q["C"], alpha_p, eta, eta if eta_p is None else eta_p)
        return np.concatenate([X.reshape(1, -1) for X in (dW, dP, predictor.target_field(W, V, beta))], 1)

    V = q["W0"] if V0 is None else V0
    y = integrate(field, np.concatenate([X.ravel() for X in (q["W0"], q["P0"], V)])[None], t).y[:, 0]
    return y[:, : cut[0]].reshape(-1, k, d), y[:, cut[0] : cut[1]].reshape(-1, k, k)


@budget(max_examples=40)
@given(
    st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6), st.booleans(), st.sampled_from((None, 0.0, 0.6)),
    st.sampled_from((0.5, 1.0, 3.0)), st.sampled_from((0.0, 0.1)), st.sampled_from((None, 0.0, 0.3)), st.sampled_from((0.2, 1.5)),
)  # fmt: skip
def test_fast_is_plain(seed, k, d, commuting, tau0, alpha_p, eta, eta_p, beta) -> None:
    q = problem(seed, k, d, commuting)
    rates = {
        "alpha_p": alpha_p,
        "eta": eta,
        "eta_p": eta_p,
        "beta": beta,
        "V0": None if tau0 is None else tau0 * q["W0"],
    }
    fast, (W, P) = predictor_flow(**q, t=TIMES, **rates), plain(q, **rates)
    assert fast.facts.products == (0 if fast.facts.form == "modes" else 3 if commuting or d == 1 else 4)
    assert distance(fast.W, W) < GLOBAL and distance(fast.P, P) < GLOBAL  # two integrations, each at rtol


@pytest.mark.parametrize(
    "wrong", [{"beta": 0.5}, {"eta": 0.0}, {"eta_p": 0.1}, {"alpha_p": 1.0}, {"V0": None}, {"C": "T"}, {"A": "scaled"}]
)
def test_a_wrong_flow_is_told_apart(wrong: dict) -> None:
    q = problem(3, 4, 5, commuting=False)
    rates = {"alpha_p": 2.0, "eta": 0.1, "eta_p": 0.3, "beta": 0.4, "V0": 0.5 * q["W0"]}
    W, _ = plain(q, **rates)
    wrong = {**wrong, **({"C": q["C"].T} if "C" in wrong else {"A": 1.01 * q["A"]} if "A" in wrong else {})}
    assert (
        distance(predictor_flow(**{**q, **rates, **wrong}, t=TIMES).W, W) > 1e3 * GLOBAL
    )  # of order one, not rounding


def kernel_arguments(q: dict, eta: float = 0.1) -> tuple[tuple, np.ndarray]:
    """(p, y) of kernel.velocity for a flow with V = W, in the basis of A."""
    (k, d), (a, U) = q["W0"].shape, np.linalg.eigh(q["A"])
    Q = np.zeros((d, d + k))
    Q[:, :d] = U.T @ q["C"] @ U
    none = np.zeros((0, d))
    p = (kernel.PREDICTOR, k, d, False, a, np.zeros(d), np.array([1.0, eta, eta, 0.0]), none, none, Q,
         np.zeros((d, k)), np.zeros((0, k)), np.zeros((0, 0)))  # fmt: skip
    return p, np.concatenate([(q["W0"] @ U).T.ravel(), q["P0"].T.ravel()])


def fixed_steps(p: tuple, y: np.ndarray, steps: int, method: int) -> np.ndarray:
    y, K, work = y.copy(), np.zeros((16, len(y))), np.zeros((3, len(y)))
    kernel.velocity(p, y, K[0])
    for _ in range(steps):
        if method == kernel.EXPLICIT:
            kernel.explicit_step(p, kernel.TABLEAU, y, 4.0 / steps, K, work[0])
        else:
            kernel.stabilised_step(p, y, 4.0 / steps, 7, K[0], work[0], work[1], work[2])
            kernel.velocity(p, work[0], K[12])
        y[:], K[0] = work[0], K[12]
    return y


@pytest.mark.parametrize(("method", "order", "steps"), [(kernel.EXPLICIT, 8, 6), (kernel.STABILISED, 2, 64)])
def test_order_of_convergence(method: int, order: int, steps: int) -> None:
    p, y = kernel_arguments(problem(1, 4, 4, commuting=False))
    true = fixed_steps(p, y, 400, kernel.EXPLICIT)
    coarse, fine = (distance(fixed_steps(p, y, n, method), true) for n in (steps, 2 * steps))
    assert abs(np.log2(coarse / fine) - order) < 0.1 * order  # the next order's term is a few percent at these steps


@pytest.mark.parametrize("method", ["DOP853", "RKL2"])
def test_output_between_steps_is_as_good_as_at_steps(method: str) -> None:
    q, rtol = problem(2, 3, 4, commuting=False), 1e-6
    dense = predictor_flow(**q, t=np.linspace(0, 4, 200), rtol=rtol, method=method).W
    W, _ = plain(q, np.linspace(0, 4, 200))
    assert distance(dense, W) < 1e3 * rtol  # interpolants of order 7 and 3 on steps chosen for orders 8 and 2


def test_spectral_radius_is_that_of_the_jacobian() -> None:
    p, y = kernel_arguments(problem(5, 5, 6, commuting=False))
    n, f0, f = len(y), np.zeros_like(y), np.zeros_like(y)
    J = np.empty((n, n))
    for i in range(n):
        for sign in (1, -1):
            kernel.velocity(p, y + sign * 1e-5 * np.eye(n)[i], f)
            J[:, i] = f if sign == 1 else (J[:, i] - f) / 2e-5
    kernel.velocity(p, y, f0)
    work = np.zeros((3, n))
    rho, _ = kernel.spectral_radius(p, y, f0, work[0], work[1], work[2])
    true = np.abs(np.linalg.eigvals(J)).max()
    assert 1 / kernel.SAFETY < rho / true < kernel.SAFETY  # the safety that the stepper takes covers power iteration


def stiff(d: int = 8) -> tuple[dict, np.ndarray]:
    """Spectra from 1 to 1e-3: the fast modes hold the step, the slow ones the clock."""
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = (U * np.logspace(0, -3, d)) @ U.T
    q = problem(0, d, d, commuting=True) | {"A": 0.625 * (X + X.T), "C": X}
    return q, np.array([0.0, 300.0, 3000.0])


def test_stiffness_is_measured_and_the_stabilised_method_agrees() -> None:
    q, t = stiff()
    true = predictor_flow(**q, t=t, method="DOP853")
    auto, explicit = (predictor_flow(**q, t=t, rtol=1e-5, method=m) for m in ("auto", "DOP853"))
    assert auto.facts.method == "DOP853 then RKL2" and 0 < auto.facts.switched_at[0] < 300
    assert auto.facts.evaluations[0] < explicit.facts.evaluations[0] / 3  # the reason to switch; 6 x was measured
    assert distance(auto.W, true.W) < 1e-2  # 10³ rtol
    assert predictor_flow(**problem(1, 6, 6, True), t=TIMES).facts.method == "DOP853"


def test_a_tolerance_that_the_low_order_cannot_pay_goes_back_to_the_explicit_method() -> None:
    q, t = stiff(4)
    facts = predictor_flow(**q, t=t, rtol=1e-11).facts
    assert facts.evaluations[0] < 1.5 * predictor_flow(**q, t=t, rtol=1e-11, method="DOP853").facts.evaluations[0]


@given(st.integers(0, 50), st.booleans(), st.sampled_from((0.5, 2.5)))
@budget(max_examples=10)
def test_balance_is_conserved(seed: int, commuting: bool, alpha_p: float) -> None:
    q = problem(seed, 4, 5, commuting)
    run = predictor_flow(**q, t=TIMES, alpha_p=alpha_p, eta=0.1, V0=0.3 * q["W0"])
    assert run.P is not None
    law = np.exp(-0.2 * TIMES)[:, None, None] * predictor.balance(q["W0"], q["P0"], alpha_p)
    assert (
        distance(predictor.balance(run.W, run.P, alpha_p), law) < GLOBAL
    )  # Theorem 1, exact; what drifts is the integrator
    assert distance(predictor.balance(run.W, run.P, 1.0), law) > 1e3 * GLOBAL  # without alpha_p it is not conserved


@pytest.mark.parametrize(("k", "d"), [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("tau0", [None, 0.4])
def test_an_aligned_start_falls_apart_into_modes(k: int, d: int, tau0: float | None) -> None:
    rng = np.random.default_rng(k)
    U, O = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (d, k))
    w = np.zeros((k, d))
    w[range(min(k, d)), range(min(k, d))] = 0.3 + rng.random(min(k, d))
    A, C = ((U * spectrum) @ U.T for spectrum in (1.0 + rng.random(d), rng.random(d)))
    q = {"W0": O @ w @ U.T, "P0": (O * rng.random(k)) @ O.T, "A": (A + A.T) / 2, "C": (C + C.T) / 2}
    rates = {"eta": 0.05, "alpha_p": 2.0, "V0": None if tau0 is None else tau0 * q["W0"]}
    fast, (W, P) = predictor_flow(**q, t=TIMES, **rates), plain(q, **rates)
    assert fast.facts.form == "modes" and len(fast.facts.evaluations) == k
    assert distance(fast.W, W) < GLOBAL and distance(fast.P, P) < GLOBAL  # two integrations, each at rtol
    q["P0"] = q["P0"] + 1e-6 * rng.standard_normal((k, k))
    assert predictor_flow(**q, t=TIMES, **rates).facts.form == "matrix"


def test_an_ensemble_is_its_members() -> None:
    members = [problem(seed, 3, 4, commuting=False) for seed in range(6)]
    stacked = {name: np.stack([q[name] for q in members]) for name in members[0]}
    alpha_p = np.array([0.5, 1, 2, 4, 8, 1000.0])  # one stiff member
    together = predictor_flow(**stacked, t=TIMES, alpha_p=alpha_p)
    for i, q in enumerate(members):
        alone = predictor_flow(**q, t=TIMES, alpha_p=alpha_p[i])
        assert distance(alone.W, together.W[i]) < 1e-12  # the same steps: no member sees another; eigh rounds by itself
        assert alone.facts.evaluations[0] == together.facts.evaluations[i]


def gradient_flow(loss, W0: np.ndarray, t: np.ndarray) -> np.ndarray:
    """W (T, k, d) by the plain solver down the autograd gradient of loss(W)."""

    def field(_: float, y):
        W = torch.tensor(y.reshape(W0.shape), requires_grad=True)
        return -torch.autograd.grad(loss(W), W)[0].numpy().reshape(1, -1)

    return integrate(field, W0.reshape(1, -1), t).y.reshape(len(t), *W0.shape)


@pytest.mark.parametrize("tau", [0.5, 1.0])
@pytest.mark.parametrize(("k", "d"), [(3, 4), (4, 3)])
def test_info_nce_flow_on_samples_descends_the_torch_loss(tau: float, k: int, d: int) -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((10, d))
    X_plus, W0, t = X + 0.5 * rng.standard_normal((10, d)), 0.3 * rng.standard_normal((k, d)), np.linspace(0, 1, 4)
    x, x_plus = torch.tensor(X), torch.tensor(X_plus)
    true = gradient_flow(lambda W: info_nce(x @ W.T, x_plus @ W.T, tau=tau, critic="dot"), W0, t)
    assert distance(info_nce_sample_flow(W0, X, X_plus, t, tau=tau).W, true) < GLOBAL  # two integrations, each at rtol
    assert distance(info_nce_sample_flow(W0, X_plus, X, t, tau=tau).W, true) > 1e3 * GLOBAL  # the direction matters


@pytest.mark.parametrize("commuting", [True, False])
def test_info_nce_population_flow_descends_its_loss(commuting: bool) -> None:
    q, tau, t = problem(4, 3, 5, commuting), 0.7, np.linspace(0, 3, 5)
    A, C = torch.tensor(q["A"]), torch.tensor(q["C"])

    def loss(W):
        M = W @ A @ W.T
        return -torch.trace(W @ C @ W.T) / tau + torch.trace(M @ M) / (2 * tau**2)

    flow = info_nce_flow(q["W0"], q["A"], q["C"], t, tau=tau)
    assert distance(flow.W, gradient_flow(loss, q["W0"], t)) < GLOBAL  # two integrations, each at rtol
    assert distance(info_nce_flow(q["W0"], q["A"], q["C"], t, tau=1.0).W, flow.W) > 1e3 * GLOBAL


def test_the_population_loss_is_the_limit_of_the_sample_loss() -> None:
    rng, N, R = np.random.default_rng(0), 512, 40
    W, sigma = torch.tensor(0.3 * rng.standard_normal((2, 3))), 0.5
    x = torch.tensor(rng.standard_normal((R, N, 3)))
    noise = torch.tensor(rng.standard_normal((2, R, N, 3))) * sigma
    losses = info_nce((x + noise[0]) @ W.T, (x + noise[1]) @ W.T, tau=1.0, critic="dot").numpy() - np.log(N)
    M = (W @ W.T).numpy()
    limit = -np.trace(M) + (1 + sigma**2) ** 2 * np.trace(M @ M) / 2
    assert (
        abs(losses.mean() - limit) < 4 * losses.std(ddof=1) / np.sqrt(R) + 2 / N
    )  # 4 SE of 40 draws, and the O(1/N) bias


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
    with pytest.raises(ValueError, match="symmetric"):
        LinearFlow.of(W0, rng.standard_normal((5, 5)), t)


def test_what_is_materialised_is_materialised_when_asked() -> None:
    run = predictor_flow(**problem(0, 3, 4, True), t=TIMES)
    assert isinstance(run, MatrixFlow) and "W" not in vars(run)
    assert run.W.shape == (7, 3, 4) and "W" in vars(run) and run.V is run.W


Q = problem(0, 2, 3, commuting=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"P0": np.eye(3)}, "P0 has shape"), ({"A": np.eye(2)}, "A has shape"), ({"A": np.triu(np.ones((3, 3)))}, "must be symmetric"),
     ({"t": np.array([1.0, 0.0])}, "rising"), ({"method": "Euler"}, "not one of"), ({"eta": -1.0}, "a rate"),
     ({"rtol": 0.0}, "rtol"), ({"W0": np.full((2, 3), np.nan)}, "not finite"), ({"C": np.full((3, 3), np.inf)}, "C has shape"),
     ({"beta": np.ones(2)}, "a rate"), ({"V0": np.ones((3, 3))}, "V0 has shape")],
)  # fmt: skip
def test_bad_input_gets_one_sentence(change: dict, says: str) -> None:
    with pytest.raises(FlowError, match=says) as caught:
        predictor_flow(**{**Q, "t": TIMES, **change})
    assert "\n" not in str(caught.value)
    with pytest.raises(FlowError, match="temperature"):
        info_nce_flow(Q["W0"], Q["A"], Q["C"], TIMES, tau=0.0)
    with pytest.raises(FlowError, match="one row a pair"):
        info_nce_sample_flow(Q["W0"], np.ones((4, 3)), np.ones((5, 3)), TIMES)


@pytest.mark.parametrize("method", ["auto", "DOP853", "RKL2"])
def test_blow_up_is_said(method: str) -> None:
    runaway = {**problem(0, 3, 3, True), "A": np.zeros((3, 3)), "C": np.eye(3)}  # nothing holds the growth
    with pytest.raises(SolverError, match="blew up near t"):
        predictor_flow(**runaway, t=np.array([0.0, 50.0]), method=method)
    calm = problem(0, 3, 3, True)
    both = {name: np.stack([calm[name], runaway[name]]) for name in calm}
    with pytest.raises(SolverError, match="member 1 of 2 blew up near t"):  # also where the pole stops the clock first
        predictor_flow(**both, t=np.array([0.0, 50.0]), rtol=1e-3, method=method)
