"""Each loss against its second writing: value, gradient, second derivative, symmetries, batch, and wrong formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_case import Case, Oracle
from loss_cases import ALL, CASES, generic
from loss_oracles import LD

torch.set_num_threads(1)
KINDS = ("generic", "equal views", "dead dimension", "repeated rows", "far mean", "one outlier")


@st.composite
def views(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, str, int]:
    N, d, seed = draw(st.integers(1, 5)), draw(st.integers(2, 4)), draw(st.integers(0, 2**16))
    scale, kind = draw(st.sampled_from([1e-2, 1.0, 3.0])), draw(st.sampled_from(KINDS))
    z, w = generic(N, d, seed)
    if kind == "equal views":
        w = z.copy()
    elif kind == "dead dimension":
        z[:, 0] = w[:, 0] = 0.5
    elif kind == "repeated rows":
        z[:], w[:] = z[:1], w[:1]
    elif kind == "far mean":
        z, w = z + 10, w + 10
    elif kind == "one outlier":
        z[0] *= 100
    return scale * z, scale * w, kind, seed


def value_and_gradient(case: Case, z: np.ndarray, w: np.ndarray) -> tuple[float, np.ndarray]:
    tz, tw = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (z, w))
    value = case.loss(tz, tw)
    grads = torch.autograd.grad(value, (tz, tw), allow_unused=True)
    return value.item(), np.stack([np.zeros_like(z) if g is None else g.numpy() for g in grads])


def errors(case: Case, oracle: Oracle, z: np.ndarray, w: np.ndarray, seed: int) -> tuple[float, float]:
    """Relative errors of the value, and of two directional derivatives against extended-precision differences."""
    value, gradient = value_and_gradient(case, z, w)
    rng = np.random.default_rng(seed + 1)
    size = min(np.abs(z).max(1).min(), np.abs(w).max(1).min())  # the shortest row sets how far a step may go
    exact = oracle(z.astype(LD), w.astype(LD))
    slope_error = 0.0
    for _ in range(2):
        v = rng.normal(size=gradient.shape)
        h = LD(1e-5) * LD(min(size, 1))
        one, back, two, far = (oracle(z + s * h * v[0].astype(LD), w + s * h * v[1].astype(LD)) for s in (1, -1, 2, -2))
        slope = float((8 * (one - back) - (two - far)) / (12 * h))
        natural = 1e-2 * (1 + abs(float(exact))) / size  # a slope far below value/size is lost in rounding
        slope_error = max(slope_error, abs(slope - np.sum(gradient * v)) / (natural + np.abs(gradient * v).sum()))
    return abs(value - float(exact)) / (1 + abs(float(exact))), slope_error


def admits(case: Case, kind: str, N: int) -> bool:
    if (case.spread and kind in ("dead dimension", "repeated rows")) or (case.apart and kind == "equal views"):
        return False
    return case.least <= N


@ALL
def test_value_and_gradient_are_the_definitions(case: Case):
    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(views())
    def check(drawn):
        z, w, kind, seed = drawn
        if not admits(case, kind, len(z)):
            return
        with np.errstate(invalid="ignore"):
            value_error, slope_error = errors(case, case.oracle, z, w, seed)
        assert value_error < 1e-12  # float64 sums of at most 1e2 terms: 1e-14, hundredfold for the outlier's spread
        assert slope_error < 1e-7  # fourth-order differences: 1e-20 f⁽⁵⁾ and rounding 1e-19 / 1e-5, over 1e-2

    check()


@pytest.mark.parametrize(
    ("case", "mutant"), [(c, m) for c in CASES for m in c.mutants], ids=lambda x: x.name if isinstance(x, Case) else x
)
def test_a_wrong_formula_is_told_apart(case: Case, mutant: str):
    z, w = generic(4, 3, 5)
    # both sides of the hinges and of the clip: rows short and long
    found = max(max(errors(case, case.mutants[mutant], c * z, c * w, 5)) for c in (0.4, 1.5))
    assert found > 1e-6  # ten times the tolerance of the comparison it must fail


@ALL
def test_gradients_of_first_and_second_order(case: Case):
    z, w = (torch.tensor(v, requires_grad=True) for v in generic(3, 2, 11))
    assert torch.autograd.gradcheck(case.loss, (z, w))
    assert torch.autograd.gradgradcheck(case.loss, (z, w))


@ALL
def test_symmetries(case: Case):
    z, w = (torch.tensor(v) for v in generic(5, 3, 7))
    rotation = torch.linalg.qr(torch.tensor(np.random.default_rng(1).normal(size=(3, 3))))[0]
    order = torch.tensor([3, 0, 4, 1, 2])
    value = case.loss(z, w)
    moved = {
        "exchange": (case.exchange, case.loss(w, z)),
        "rotation": (case.rotation, case.loss(z @ rotation, w @ rotation)),
        "permutation": (case.permutation, case.loss(z[order], w[order])),
        "scale": (case.scale_free, case.loss(3.0 * z, 0.2 * w)),
    }
    for name, (claimed, other) in moved.items():
        same = torch.isclose(value, other, rtol=1e-12, atol=1e-12).item()  # rounding of sums in another order
        # A symmetry not claimed is checked too: it does fail, so a flag left out by mistake cannot hide one.
        assert same == claimed, name


@ALL
def test_a_batch_is_a_loop(case: Case):
    rng = np.random.default_rng(3)
    z, w = (torch.tensor(rng.normal(size=(2, 3, 5, 3)), requires_grad=True) for _ in range(2))
    batched = case.loss(z, w)
    assert batched.shape == (2, 3)
    each = torch.stack([case.loss(z[i, j], w[i, j]) for i in range(2) for j in range(3)]).reshape(2, 3)
    torch.testing.assert_close(batched, each, rtol=1e-12, atol=1e-12)  # the order of sums inside BLAS
    for a, b in zip(
        torch.autograd.grad(batched.sum(), (z, w), allow_unused=True),
        torch.autograd.grad(each.sum(), (z, w), allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)  # as above, one derivative later


@ALL
def test_vmap_is_the_batch(case: Case):
    z, w = (torch.tensor(np.random.default_rng(s).normal(size=(3, 4, 3))) for s in (1, 2))
    torch.testing.assert_close(torch.func.vmap(case.loss)(z, w), case.loss(z, w), rtol=1e-12, atol=1e-12)  # rounding
