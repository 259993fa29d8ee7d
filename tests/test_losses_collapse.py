"""Losses at collapse: each formula's value by hand, and no gradient where it is stationary."""

from __future__ import annotations

import math

import pytest
import torch
from loss_case import Case
from loss_cases import ALL, NAMES, D, N, gradients

import full_models.losses as L

torch.set_num_threads(1)


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
