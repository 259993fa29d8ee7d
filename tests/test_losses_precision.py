"""Losses in narrow types: float32 and float16 follow float64, at floors, spreads and temperatures that try them."""

from __future__ import annotations

import pytest
import torch
from loss_case import Case
from loss_cases import ALL, CASES, generic, gradients

import full_models.losses as L

torch.set_num_threads(1)


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


def test_float32_spread_far_below_the_mean():
    z, w = (torch.tensor(v) for v in generic(64, 4, 8))
    far = (z + 1000).float(), (w + 1000).float()
    for loss in (L.barlow_twins, lambda a, b: L.vicreg(a, b, lam=0.0)):
        near = loss(far[0].double(), far[1].double()).item()
        assert loss(*far).item() == pytest.approx(near, rel=1e-4)  # centring first loses nothing: 64 terms at 6e-8
