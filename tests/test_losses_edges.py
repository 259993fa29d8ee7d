"""Losses at their edges: collapse, NaN, one sample, zero vectors, float32 extremes, bad arguments, both conventions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_cases import CASES, Case
from loss_oracles import fixed
from test_losses_values import generic

import full_models.losses as L

torch.set_num_threads(1)
ALL = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
NAMES = {c.name: c for c in CASES}
N, D = 5, 3


def gradients(loss: torch.Tensor, *at: torch.Tensor) -> list[torch.Tensor]:
    return [
        torch.zeros_like(x) if g is None else g
        for g, x in zip(torch.autograd.grad(loss, at, allow_unused=True), at, strict=True)
    ]


def constant(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor([0.3, -1.7, 0.9], dtype=dtype).expand(N, D).clone().requires_grad_()


COLLAPSED = {  # the value at z = z⁺ = one constant row, from each formula by hand; N = 5, d = 3
    "info_nce cosine": math.log(N),
    "info_nce dot": math.log(N),
    "info_nce bilinear": math.log(N),
    "nt_xent": math.log(2 * N - 1),
    "nt_xent reference": 2 * math.log(2 * N - 1),
    "decoupled_contrastive": math.log(2 * N - 2),
    "alignment": 0.0,
    "alignment alpha=1": 0.0,
    "uniformity": 0.0,
    "vicreg": 2 * 2 * (1 - 0.01),  # mu = 2, both views, √eps = 0.01
    "vicreg reference": 2 * (1 - 0.01),
    "barlow_twins": D,
    "barlow_twins reference": D,
    "matrix_ssl": D * (-0.4 * math.log(0.5) + 0.5 + 0.6 * (-0.5 * math.log(0.5) + 0.5)),
    "invariance": 0.0,
    "negative_cosine": -1.0,
    "negative_cosine reference": -1.0,
    "predictor_mse": 0.0,
    "predictor_mse unit": 0.0,
    "predictor_mse unit reference": 0.0,
    "jepa": 0.0,
    "v_jepa": 0.0,
    "mae": 0.0,
}


@ALL
def test_constant_input_has_a_finite_value_and_gradient(case: Case):
    z, w = constant(), constant()
    loss = case.loss(z, w)
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradients(loss, z, w))


@ALL
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_types_with_a_zero_row_are_the_value_to_their_rounding(case: Case, dtype: torch.dtype):
    """float16 has no 1e-12 to put under a norm."""
    if case.name == "matrix_ssl":  # torch factors no matrix of these types
        with pytest.raises(ValueError, match="give float32 or float64"):
            case.loss(*(torch.ones(4, 3, dtype=dtype),) * 2)
        return
    z, w = (torch.tensor(v).to(dtype).requires_grad_() for v in generic(4, 3, 3))
    z.data[1] = 0
    loss = case.loss(z, w)
    assert loss.dtype == dtype
    exact = case.loss(z.double(), w.double()).item()
    assert loss.item() == pytest.approx(exact, rel=16 * torch.finfo(dtype).eps, abs=16 * torch.finfo(dtype).eps)  # sums
    assert all(g.isfinite().all() for g in gradients(loss, z, w))


@pytest.mark.parametrize("name", COLLAPSED)
def test_value_at_collapse(name: str):
    value = NAMES[name].loss(constant(), constant()).item()
    assert value == pytest.approx(COLLAPSED[name], rel=1e-14, abs=1e-14)  # one rounding of a sum of five
    single = NAMES[name].loss(constant(torch.float32), constant(torch.float32)).item()
    assert single == pytest.approx(COLLAPSED[name], rel=1e-6, abs=1e-6)  # float32's 6e-8, summed and over tau = 0.2


@pytest.mark.parametrize(
    "name",
    [
        "vicreg",
        "vicreg reference",
        "barlow_twins",
        "barlow_twins reference",
        "info_nce cosine",
        "nt_xent",
        "uniformity",
    ],
)
def test_collapse_is_stationary(name: str):
    z, w = constant(), constant()
    for g in gradients(NAMES[name].loss(z, w), z, w):
        assert g.abs().max() < 1e-14  # exactly 0 in the formula; rounding of softmax weights summing to 1


def test_barlow_at_zero_variance_in_float32_is_exact():
    z = torch.full((7, 2), 0.1, dtype=torch.float32)  # the mean of seven 0.1's is not 0.1 in float32
    assert L.barlow_twins(z, z).item() == 2.0  # d, exactly: the constant must not be read as perfect correlation


@ALL
def test_nan_makes_its_own_network_nan(case: Case):
    for view in range(2):
        for n in range(4):
            pair = [torch.tensor(np.random.default_rng(s).normal(size=(2, 4, 3))) for s in (1, 2)]
            pair[view][0, n, 1] = torch.nan
            value = case.loss(*pair)
            assert value[0].isnan()
            assert value[1].isfinite()


@ALL
def test_one_sample(case: Case):
    z, w = (torch.tensor(v, requires_grad=True) for v in generic(1, D, 2))
    if case.least > 1:
        with pytest.raises(ValueError, match=r"needs N >= 2"):
            case.loss(z, w)
        return
    loss = case.loss(z, w)
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradients(loss, z, w))


def test_a_single_pair_has_nothing_to_be_told_from():
    z, w = (torch.tensor(v, requires_grad=True) for v in generic(1, D, 2))
    for name in ("info_nce cosine", "info_nce dot", "nt_xent"):
        loss = NAMES[name].loss(z, w)
        assert loss.item() == pytest.approx(0, abs=1e-15)  # log 1
        assert all(g.abs().max() < 1e-15 for g in gradients(loss, z, w))  # the derivative of log 1


@pytest.mark.parametrize("case", [c for c in CASES if c.scale_free], ids=lambda c: c.name)
def test_a_zero_vector_is_finite(case: Case):
    z, w = (torch.tensor(v) for v in generic(4, D, 3))
    z[1] = 0
    z.requires_grad_()
    loss = case.loss(z, w)
    assert loss.isfinite()
    assert gradients(loss, z)[0].isfinite().all()


@pytest.mark.parametrize("norm", [1e-5, 1e-7, 1e-9, 1e-13])
def test_the_floor_under_a_norm_is_the_convention_s(norm: float):
    w = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    z = norm * w

    def cosine(floor: float) -> float:
        return min(1.0, norm / floor)  # of a vector parallel to its target: its norm after normalising

    # each a handful of float64 roundings from norm / floor
    assert -L.negative_cosine(z, w).item() == pytest.approx(cosine(1e-12), rel=1e-12)
    assert -L.negative_cosine(z, w, convention="reference").item() == pytest.approx(cosine(1e-8), rel=1e-12)
    byol = L.predictor_mse(z, w, unit=True, convention="reference").item()
    assert byol == pytest.approx((1 - cosine(1e-6)) ** 2, rel=1e-12, abs=1e-24)
    assert L.predictor_mse(z, w, unit=True).item() == pytest.approx((1 - cosine(1e-12)) ** 2, rel=1e-12, abs=1e-24)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1.0, 1e15, 1e30])
@pytest.mark.parametrize("loss", [L.nt_xent, L.info_nce, L.decoupled_contrastive])
def test_float32_at_the_smallest_temperature(loss, scale: float):
    z, w = generic(32, 16, 4)
    exact = torch.tensor(z, requires_grad=True)
    value = loss(exact, torch.tensor(w), tau=0.005)
    single = torch.tensor(scale * z, dtype=torch.float32, requires_grad=True)
    # the rows are far above the floor of 1e-12, or far below it and the same for float64
    if scale < 1e-12:
        exact = torch.tensor(scale * z, requires_grad=True)
        value = loss(exact, torch.tensor(scale * w), tau=0.005)
    got = loss(single, torch.tensor(scale * w, dtype=torch.float32), tau=0.005)
    assert got.item() == pytest.approx(value.item(), rel=1e-5)  # scores of 200 rounded at 6e-8: 1e-5 absolute
    g, g32 = gradients(value, exact)[0], gradients(got, single)[0].double()
    g = g if scale < 1e-12 else g / scale
    assert (g32 - g).norm() < 1e-4 * g.norm()  # softmax weights move by 200 * 6e-8 relative


def test_float32_of_every_loss_follows_float64():
    for case in CASES:
        z, w = generic(16, 8, 6)
        exact, w64 = torch.tensor(z, requires_grad=True), torch.tensor(w)
        single, w32 = torch.tensor(z, dtype=torch.float32, requires_grad=True), torch.tensor(w, dtype=torch.float32)
        a, b = case.loss(exact, w64), case.loss(single, w32)
        assert b.dtype == torch.float32, case.name
        assert b.item() == pytest.approx(a.item(), rel=1e-5, abs=1e-5), case.name  # 6e-8 over tau = 0.2 and 16 terms
        g, g32 = gradients(a, exact)[0], gradients(b, single)[0].double()
        assert (g32 - g).norm() < 1e-4 * (g.norm() + 1e-3), case.name  # as above, one derivative later


TEMPERED = {
    "info_nce": L.info_nce,
    "nce": L.nce,
    "nt_xent": L.nt_xent,
    "decoupled_contrastive": L.decoupled_contrastive,
    "queue_info_nce": lambda z, w, tau: L.queue_info_nce(z, w, queue=w, tau=tau),
    "blocked_info_nce": L.blocked_info_nce,
    "blocked_nt_xent": L.blocked_nt_xent,
}


@pytest.mark.parametrize("name", TEMPERED)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_a_learned_temperature_of_any_shape_leaves_the_result_as_it_is(name: str, shape: tuple[int, ...]):
    z, w = (torch.tensor(v, dtype=torch.float16) for v in generic(5, 3, 6))
    expected = TEMPERED[name](z, w, tau=0.25)
    tau = torch.full(shape, 0.25, dtype=torch.float64, requires_grad=True)
    loss = TEMPERED[name](z, w, tau=tau)
    assert (loss.dtype, loss.shape) == (torch.float16, ())
    assert torch.equal(loss, expected)
    (slope,) = torch.autograd.grad(loss, tau)
    assert slope.shape == shape and slope.abs() > 0.01  # of order 1


@pytest.mark.parametrize("name", [name for name in TEMPERED if not name.startswith("blocked")])
def test_a_temperature_may_be_differentiated_by_torch_func_but_not_mapped_over(name: str):
    z, w = (torch.tensor(v) for v in generic(5, 3, 6))
    tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(TEMPERED[name](z, w, tau=tau), tau)
    slope = torch.func.grad(lambda t: TEMPERED[name](z, w, tau=t))(tau.detach())
    torch.testing.assert_close(slope, expected, rtol=1e-14, atol=0)  # the same operations
    with pytest.raises(RuntimeError, match="vmap"):
        torch.func.vmap(lambda t: TEMPERED[name](z, w, tau=t))(tau.detach().expand(2))


def test_float32_spread_far_below_the_mean():
    z, w = (torch.tensor(v) for v in generic(64, 4, 8))
    far = (z + 1000).float(), (w + 1000).float()
    for loss in (L.barlow_twins, lambda a, b: L.vicreg(a, b, lam=0.0)):
        near = loss(far[0].double(), far[1].double()).item()
        assert loss(*far).item() == pytest.approx(near, rel=1e-4)  # centring first loses nothing: 64 terms at 6e-8


def test_conventions_differ_by_what_their_docstrings_say():
    z, w = (0.4 * torch.tensor(v) for v in generic(6, 4, 9))
    ref = {"convention": "reference"}
    s = L.invariance(z, w).item()
    for lam, mu, nu, ratio in ((1.0, 0.0, 0.0, 4.0), (0.0, 1.0, 0.0, 2.0), (0.0, 0.0, 1.0, 1.0)):
        weights = {"lam": lam, "mu": mu, "nu": nu}
        assert L.vicreg(z, w, **weights).item() == pytest.approx(
            ratio * L.vicreg(z, w, **weights, **ref).item(), rel=1e-13
        )  # d, 2, 1
    assert L.vicreg(z, w, lam=1, mu=0, nu=0).item() == pytest.approx(s, rel=1e-14)  # the same sum
    assert L.nt_xent(z, w, **ref).item() == pytest.approx(2 * L.nt_xent(z, w).item(), rel=1e-14)  # 2N against N
    short = z / 10, w / 10  # norms below 1: nothing is clipped
    assert L.spectral_contrastive(*short, **ref).item() == pytest.approx(
        L.spectral_contrastive(*short).item(), rel=1e-13
    )  # equal
    flat = 1e-3 * z, 1e-3 * w  # a spread far below √eps = 3e-3
    assert L.barlow_twins(*flat).item() == pytest.approx(L.barlow_twins(z, w).item(), rel=1e-9)  # scale-free
    assert L.barlow_twins(*flat, **ref).item() > 0.9 * 4  # near d, as at collapse


def test_the_paper_s_forms_ignore_the_reference_s_options():
    z, w = (torch.tensor(v) for v in generic(6, 4, 9))
    assert torch.equal(L.spectral_contrastive(z, w, mu=3.0), L.spectral_contrastive(z, w))
    assert torch.equal(L.barlow_twins(z, w, eps=0.5), L.barlow_twins(z, w))
    assert torch.equal(L.jepa(z, w, beta=0.5), L.jepa(z, w))
    assert torch.equal(L.v_jepa(z, w, p=2.0, reg=0.5), L.v_jepa(z, w))


def test_identities_between_losses():
    z, w = (torch.tensor(v) for v in generic(6, 4, 10))
    cosine = L.negative_cosine(z, w).item()
    assert L.predictor_mse(z, w, unit=True).item() == pytest.approx(2 + 2 * cosine, rel=1e-13)  # ‖u - v‖² = 2 - 2 u·v
    assert L.alignment(z, w).item() == pytest.approx(2 + 2 * cosine, rel=1e-13)  # the same
    eye = torch.eye(4, dtype=torch.float64)
    assert L.info_nce(z, w, critic="bilinear", M=eye).item() == pytest.approx(
        L.info_nce(z, w, critic="dot").item(), rel=1e-13
    )  # M = I
    logits = z @ w.mT / 0.1
    assert L.cross_entropy(logits, torch.arange(6)).item() == pytest.approx(
        L.info_nce(z, w, critic="dot").item(), rel=1e-13
    )  # N classes
    small = 1e-3 * z, torch.zeros_like(z)
    inside = L.jepa(*small, convention="reference").item()  # a zero target is its own layer norm
    assert inside == pytest.approx(L.jepa(*small, M=6).item() / (2 * 4), rel=1e-13)  # |r| < beta: r²/2, mean over d = 4


def test_sigreg_against_the_closed_form():
    # one point at 0: ∫ (1 - e^{-t²/2})² e^{-t²/2} dt = √2π (1 - 2/√2 + 1/√3), with N in front
    z, a = torch.zeros(8, 3, dtype=torch.float64), torch.tensor(fixed(4, 3, 6))
    exact = 8 * math.sqrt(2 * math.pi) * (1 - math.sqrt(2) + 1 / math.sqrt(3))
    fine = L.sigreg(z, z, directions=a, knots=4001).item()
    assert fine == pytest.approx(exact, rel=1e-4)  # the tail beyond |t| = 5 holds 3e-6 of 0.16


def test_rotations_with_their_extras():
    z, w = (torch.tensor(v) for v in generic(5, 3, 7))
    R = torch.linalg.qr(torch.tensor(fixed(1, 3, 3)))[0]
    queue, a, M = (torch.tensor(fixed(s, *shape)) for s, shape in ((3, (5, 3)), (4, (3, 6)), (2, (3, 3))))
    pairs = [
        (L.queue_info_nce(z, w, queue=queue), L.queue_info_nce(z @ R, w @ R, queue=queue @ R)),
        (L.sigreg(z, w, directions=a), L.sigreg(z @ R, w @ R, directions=R.mT @ a)),
        (L.info_nce(z, w, critic="bilinear", M=M), L.info_nce(z @ R, w @ R, critic="bilinear", M=R.mT @ M @ R)),
    ]
    for before, after in pairs:
        assert before.item() == pytest.approx(after.item(), rel=1e-12)  # rounding of the rotation
    order, mask = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([1, 0, 1, 1, 0])
    assert L.mae(z, w, mask=mask).item() == pytest.approx(
        L.mae(z[order], w[order], mask=mask[order]).item(), rel=1e-13
    )  # order of a sum


def test_a_queue_of_many_networks_meets_the_views_of_one():
    z, w = (torch.tensor(v) for v in generic(5, 3, 7))
    queue = torch.tensor(np.random.default_rng(0).normal(size=(2, 4, 3)))
    each = torch.stack([L.queue_info_nce(z, w, queue=q) for q in queue])
    torch.testing.assert_close(L.queue_info_nce(z, w, queue=queue), each, rtol=1e-14, atol=0)  # the same sums


def test_cross_entropy_value_gradient_and_edges():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(2, 7, 4)) * 3, rng.integers(0, 4, (2, 7))
    z = torch.tensor(logits, requires_grad=True)
    loss = L.cross_entropy(z, torch.tensor(y))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(p, y[..., None], -1)[..., 0]).mean(-1)
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-13)  # the naive softmax at |z| < 10
    np.testing.assert_allclose(gradients(loss.sum(), z)[0].numpy(), (p - np.eye(4)[y]) / 7, atol=1e-14)  # the same
    assert torch.autograd.gradgradcheck(lambda x: L.cross_entropy(x, torch.tensor(y)), z)
    assert L.cross_entropy(torch.zeros(3, 10), torch.zeros(3, dtype=torch.long)).item() == pytest.approx(
        math.log(10), rel=1e-6
    )  # float32
    far = L.cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([1]))
    assert far.item() == 2e4  # log-sum-exp: no overflow, and e^-20000 vanishes beside 1
    z.data[0, 0, 0] = torch.nan
    bad = L.cross_entropy(z, torch.tensor(y))
    assert bad[0].isnan()
    assert bad[1].isfinite()


def test_an_empty_mask_and_anti_correlated_views_are_nan():
    z, w = (torch.tensor(v) for v in generic(4, 3, 1))
    assert L.mae(z, w, mask=torch.zeros(4)).isnan()
    line = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    assert L.matrix_ssl(line, -line).isnan()  # C = -1 and mu = 1/2: the logarithm of -1/2
    assert L.matrix_ssl(line, line).isfinite()


def test_matrix_ssl_with_a_small_ridge():
    z, w = (torch.tensor(v) for v in generic(6, 3, 12))
    u, v = (x / x.norm(dim=-1, keepdim=True) for x in (z, w))
    u, v = u - u.mean(0), v - v.mean(0)
    mu = 1e-3
    P, Q = (x.T @ x / 6 + mu * torch.eye(3, dtype=torch.float64) for x in (u, v))
    lam, U = torch.linalg.eigh(Q)
    expected = (Q.trace() - (P @ U @ lam.log().diag() @ U.T).trace()).item()
    cross_only = L.matrix_ssl(z, w, mu=mu, gamma=0.0)
    if cross_only.isfinite():
        assert (L.matrix_ssl(z, w, mu=mu) - cross_only).item() == pytest.approx(
            expected, rel=1e-11
        )  # eigh's rounding / mu
    same = L.matrix_ssl(z, z, mu=mu, lam=0.0) - L.matrix_ssl(z, z, mu=mu, lam=0.0, gamma=0.0)
    lam = torch.linalg.eigvalsh(P)
    assert same.item() == pytest.approx((lam - lam * lam.log()).sum().item(), rel=1e-11)  # tr(P - P log P)


def test_one_dimension():
    z, w = (torch.tensor(v[:, :1].copy()) for v in generic(5, 2, 3))
    for name in (
        "vicreg",
        "vicreg reference",
        "barlow_twins",
        "barlow_twins reference",
        "matrix_ssl",
        "invariance",
        "jepa",
        "v_jepa",
    ):
        case = NAMES[name]
        expected = float(case.oracle(z.numpy().astype(np.longdouble), w.numpy().astype(np.longdouble)))
        assert case.loss(z, w).item() == pytest.approx(expected, rel=1e-12)  # no off-diagonal term; rounding


def test_random_directions_are_unit_and_reproducible():
    a, b = (L.random_directions(4, 9, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(a, b)
    torch.testing.assert_close(a.norm(dim=0), torch.ones(9, dtype=torch.float64), rtol=1e-14, atol=0)  # one division


@ALL
def test_mismatched_shapes_raise_one_sentence(case: Case):
    z = torch.zeros(4, 3)
    for a, b in ((z, torch.zeros(4, 2)), (z, torch.zeros(2, 4, 3)), (z[0], z[0]), (z.long(), z.long()), (z[:0], z[:0])):
        with pytest.raises(ValueError, match=r"give|needs") as error:
            case.loss(a, b)
        assert "\n" not in str(error.value)
    for a, b in ((z, z.double()), (z.long(), z.long())):
        with pytest.raises(ValueError, match=r"give .*floating") as error:
            case.loss(a, b)
        assert "\n" not in str(error.value)


Z = torch.ones(4, 3)
INF, NAN = math.inf, math.nan
BAD = {
    "tau": lambda: L.nt_xent(Z, Z, tau=0.0),
    "tau nan": lambda: L.info_nce(Z, Z, tau=math.nan),
    "critic": lambda: L.info_nce(Z, Z, critic="euclid"),
    "M missing": lambda: L.info_nce(Z, Z, critic="bilinear"),
    "M unused": lambda: L.info_nce(Z, Z, M=torch.eye(3)),
    "M shape": lambda: L.info_nce(Z, Z, critic="bilinear", M=torch.eye(2)),
    "M type": lambda: L.info_nce(Z, Z, critic="bilinear", M=torch.eye(3).double()),
    "M's networks": lambda: L.info_nce(*[Z.expand(2, 4, 3)] * 2, critic="bilinear", M=torch.ones(3, 3, 3)),
    "tau inf": lambda: L.decoupled_contrastive(Z, Z, tau=INF),
    "tau below the type": lambda: L.info_nce(Z, Z, tau=1e-100),
    "tau below float64": lambda: L.nt_xent(Z.double(), Z.double(), tau=1e-310),
    "tau above the type": lambda: L.nt_xent(Z, Z, tau=1e39),
    "tau of the queue": lambda: L.queue_info_nce(Z, Z, queue=Z, tau=-1.0),
    "tau of many": lambda: L.info_nce(Z, Z, tau=torch.ones(2)),
    "tau none": lambda: L.info_nce(Z, Z, tau=None),
    "tau a word": lambda: L.info_nce(Z, Z, tau="0.1"),
    "tau complex": lambda: L.nt_xent(Z, Z, tau=torch.tensor(1j)),
    "b": lambda: L.nce(Z, Z, b=NAN),
    "b a word": lambda: L.nce(Z, Z, b="a"),
    "mu of the clip": lambda: L.spectral_contrastive(Z, Z, mu=0.0),
    "mu of the ridge": lambda: L.matrix_ssl(Z, Z, mu=-1.0, convention="reference"),
    "a ridge that no rule resolves": lambda: L.matrix_ssl(Z, Z, mu=1e-12),
    "a ridge beside which 1 is nothing": lambda: L.matrix_ssl(Z, Z, mu=1e17),
    "weights of matrix_ssl": lambda: L.matrix_ssl(Z, Z, gamma=NAN),
    "lam of matrix_ssl": lambda: L.matrix_ssl(Z, Z, lam=INF),
    "alpha": lambda: L.alignment(Z, Z, alpha=0.0),
    "t": lambda: L.uniformity(Z, Z, t=-2.0),
    "t inf": lambda: L.uniformity(Z, t=INF),
    "queue": lambda: L.queue_info_nce(Z, Z, queue=torch.ones(5, 2)),
    "queue of one row": lambda: L.queue_info_nce(Z, Z, queue=Z[0]),
    "queue type": lambda: L.queue_info_nce(Z, Z, queue=Z.double()),
    "empty queue": lambda: L.queue_info_nce(Z, Z, queue=torch.ones(0, 3)),
    "directions": lambda: L.sigreg(Z, Z, directions=torch.ones(2, 5)),
    "no directions given": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 0)),
    "directions type": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 5).double()),
    "knots": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 5), knots=1),
    "a knot in words": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 5), knots="9"),
    "half a knot": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 5), knots=2.5),
    "knots nan": lambda: L.lejepa(Z, Z, directions=torch.ones(3, 5), knots=NAN),
    "lam of lejepa": lambda: L.lejepa(Z, Z, directions=torch.ones(3, 5), lam=NAN),
    "eps": lambda: L.vicreg(Z, Z, eps=0.0),
    "eps of the batch norm": lambda: L.barlow_twins(Z, Z, eps=0.0, convention="reference"),
    "lam of barlow_twins": lambda: L.barlow_twins(Z, Z, lam=-INF),
    **{f"{name} of vicreg": lambda n=name: L.vicreg(Z, Z, **{n: NAN}) for name in ("lam", "mu", "nu", "gamma")},
    "p": lambda: L.v_jepa(Z, Z, p=0.5),
    "p inf": lambda: L.v_jepa(Z, Z, p=INF),
    "reg": lambda: L.v_jepa(Z, Z, reg=-0.5),
    "M blocks": lambda: L.jepa(Z, Z, M=0),
    "half a block": lambda: L.jepa(Z, Z, M=0.5),
    "beta": lambda: L.jepa(Z, Z, beta=0.0, convention="reference"),
    "mask": lambda: L.mae(Z, Z, mask=torch.ones(3)),
    "mask's networks": lambda: L.mae(*[Z.expand(2, 4, 3)] * 2, mask=torch.ones(3, 4)),
    "one pixel": lambda: L.mae(Z[:, :1], Z[:, :1], mask=torch.ones(4)),
    "labels": lambda: L.cross_entropy(Z, torch.zeros(4)),
    "labels shape": lambda: L.cross_entropy(Z, torch.zeros(3, dtype=torch.long)),
    "labels bool": lambda: L.cross_entropy(Z, torch.zeros(4, dtype=torch.bool)),
    "labels complex": lambda: L.cross_entropy(Z, torch.zeros(4, dtype=torch.complex64)),
    "logits": lambda: L.cross_entropy(Z.long(), torch.zeros(4, dtype=torch.long)),
    "no dimensions": lambda: L.random_directions(0, 3, torch.Generator()),
    "no directions": lambda: L.random_directions(3, 0, torch.Generator()),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_arguments_raise_one_sentence(bad: str):
    with pytest.raises(ValueError, match=r"give|belongs|not known|not one of") as error:
        BAD[bad]()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("case", [c for c in CASES if c.name.endswith("reference")], ids=lambda c: c.name)
def test_an_unknown_convention_is_named(case: Case):
    with pytest.raises(ValueError, match="'theory' is not known: use 'paper' or 'reference'"):
        case.loss.func(*case.loss.args, Z, Z, **{**case.loss.keywords, "convention": "theory"})


@ALL
def test_no_tensor_is_made_on_another_device(case: Case):
    z = torch.zeros(2, 4, 3, device="meta")  # the device without memory: mixing it with the CPU raises
    loss = case.loss(z, z)
    assert loss.shape == (2,)
    assert loss.device.type == "meta"


def test_every_public_loss_has_a_case():
    tested = {c.name.split()[0] for c in CASES} | {"cross_entropy", "random_directions"}
    tested |= {"blocked_info_nce", "blocked_nt_xent"}  # held against the plain ones in test_blocked.py
    assert tested == set(L.__all__)
