"""Identities of losses: between conventions, between losses, under rotations, and with closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_cases import generic, gradients
from loss_oracles import fixed

import full_models.losses as L

torch.set_num_threads(1)


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


def test_matrix_ssl_with_a_small_ridge():
    z, w = (torch.tensor(v) for v in generic(6, 3, 12))
    u, v = (x / x.norm(dim=-1, keepdim=True) for x in (z, w))
    u, v = u - u.mean(0), v - v.mean(0)
    mu = 1e-3
    P, Q = (x.T @ x / 6 + mu * torch.eye(3, dtype=torch.float64) for x in (u, v))
    lam, U = torch.linalg.eigh(Q)
    expected = (Q.trace() - (P @ U @ lam.log().diag() @ U.T).trace()).item()
    cross_only = L.matrix_ssl(z, w, mu=mu, gamma=0.0)
    assert (L.matrix_ssl(z, w, mu=mu) - cross_only).item() == pytest.approx(expected, rel=1e-11)  # eigh's rounding / mu
    same = L.matrix_ssl(z, z, mu=mu, lam=0.0) - L.matrix_ssl(z, z, mu=mu, lam=0.0, gamma=0.0)
    lam = torch.linalg.eigvalsh(P)
    assert same.item() == pytest.approx((lam - lam * lam.log()).sum().item(), rel=1e-11)  # tr(P - P log P)


def test_random_directions_are_unit_and_reproducible():
    a, b = (L.random_directions(4, 9, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(a, b)
    torch.testing.assert_close(a.norm(dim=0), torch.ones(9, dtype=torch.float64), rtol=1e-14, atol=0)  # one division
