"""Losses at their edges: NaN, one sample, zero vectors, one dimension, many networks, another device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loss_case import Case
from loss_cases import ALL, CASES, NAMES, D, generic, gradients

import full_models.losses as L

torch.set_num_threads(1)


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


def test_a_queue_of_many_networks_meets_the_views_of_one():
    z, w = (torch.tensor(v) for v in generic(5, 3, 7))
    queue = torch.tensor(np.random.default_rng(0).normal(size=(2, 4, 3)))
    each = torch.stack([L.queue_info_nce(z, w, queue=q) for q in queue])
    torch.testing.assert_close(L.queue_info_nce(z, w, queue=queue), each, rtol=1e-14, atol=0)  # the same sums


def test_an_empty_mask_and_anti_correlated_views_are_nan():
    z, w = (torch.tensor(v) for v in generic(4, 3, 1))
    assert L.mae(z, w, mask=torch.zeros(4)).isnan()
    line = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    assert L.matrix_ssl(line, -line).isnan()  # C = -1 and mu = 1/2: the logarithm of -1/2
    assert L.matrix_ssl(line, line).isfinite()


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
