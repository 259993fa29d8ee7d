"""Blocked InfoNCE and NT-Xent against the plain losses: value, gradient, memory, and what a fault would look like."""

from __future__ import annotations

import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from blocked_cases import HEIGHTS, PAIRS, excess, path, value_and_gradients, views

from benchmarks.harness import MIB, peak_memory
from full_models.losses import blocked, blocked_info_nce, blocked_nt_xent, info_nce, nt_xent

torch.set_num_threads(1)
__all__ = ["path"]  # the fixture


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("tau", [0.5, 0.07, 0.002])  # at 0.002 |s| may reach 500: the rows' maxima are taken away
@pytest.mark.parametrize("blocks", [0.0, 0.02, 0.995, 1.005, 2.1])  # one row, around a block's height, two and a rest
@pytest.mark.parametrize("name", PAIRS)
def test_value_and_gradient_are_the_plain_losses(
    name: str, blocks: float, tau: float, dtype: torch.dtype, path: str
) -> None:
    plain, other = PAIRS[name]
    N = max(1, round(blocks * HEIGHTS[path] / dtype.itemsize))
    assert excess(plain, other, views(N, 6, dtype), tau) <= 1


def test_which_rows_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    many = torch.empty(blocked.COMPILED_FROM, 1)
    assert blocked._compiles(many)
    assert not blocked._compiles(many[1:])
    assert not blocked._compiles(many.bfloat16())
    assert not blocked._compiles(many.to("meta"))  # as on any device but the CPU
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not blocked._compiles(many)


@pytest.mark.parametrize("critic", ["dot", "bilinear"])
@pytest.mark.parametrize("tau", [1.0, 0.02])
@pytest.mark.usefixtures("path")
def test_every_critic(critic: str, tau: float) -> None:
    M = {"M": torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))}
    assert (
        excess(info_nce, blocked_info_nce, views(250, 6), tau, critic=critic, **(M if critic == "bilinear" else {}))
        <= 1
    )


def test_a_matrix_for_each_of_many_networks_meets_the_views_of_one() -> None:
    M = torch.randn(2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert blocked_info_nce(*views(30, 6), critic="bilinear", M=M).shape == (2,)
    assert excess(info_nce, blocked_info_nce, views(30, 6), 1.0, critic="bilinear", M=M) <= 1


def test_a_batch_of_networks_and_the_two_conventions() -> None:
    for name, (plain, other) in PAIRS.items():
        assert excess(plain, other, views(30, 4, lead=(3, 2)), 0.2) <= 1, name
    assert excess(nt_xent, blocked_nt_xent, views(30, 4), 0.2, convention="reference") <= 1
    assert blocked_info_nce(*views(30, 4, lead=(3, 2))).shape == (3, 2)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.usefixtures("path")
def test_gradcheck(name: str) -> None:
    inputs = [x.requires_grad_() for x in views(7, 3)]
    assert torch.autograd.gradcheck(partial(PAIRS[name][1], tau=0.3), inputs)


def test_it_drops_into_training() -> None:
    """Ten steps of SGD on a linear encoder: the same weights to rounding, whichever form the loss has."""
    x, x_plus = views(300, 8)
    ends = []
    for loss in (info_nce, blocked_info_nce):
        W = torch.eye(8, dtype=torch.float64)[:4].clone().requires_grad_()
        optimiser = torch.optim.SGD([W], lr=0.5)
        for _ in range(10):
            optimiser.zero_grad()
            loss(x @ W.mT, x_plus @ W.mT, tau=0.2).backward()
            optimiser.step()
        ends.append(W.detach())
    assert (ends[0] - ends[1]).abs().max() < 10 * 8 * 308 * 2**-53 / 0.2  # ten steps, each within the law of one
    moved = ends[0] - torch.eye(8, dtype=torch.float64)[:4]
    assert moved.abs().max() > 0.01  # a step of rate 0.5 along a gradient of order 0.1, far above rounding


def test_only_what_needs_a_gradient_gets_one_and_none_is_kept_without() -> None:
    z, z_plus = views(20, 4)
    z.requires_grad_()
    J = blocked_info_nce(z, z_plus)
    (3 * J).backward()
    expected = value_and_gradients(info_nce, [z.detach(), z_plus])[1]
    torch.testing.assert_close(z.grad, 3 * expected, rtol=1e-12, atol=1e-16)  # rounding of the law above
    assert z_plus.grad is None
    J = blocked_info_nce(z, z_plus)
    first, again = (torch.autograd.grad(J, z, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, expected, rtol=1e-12, atol=1e-16)  # rounding of the law above
    torch.testing.assert_close(first, again, rtol=0, atol=0)  # what is handed out uncopied is what was kept
    with torch.no_grad():
        assert blocked_info_nce(z, z_plus).grad_fn is None


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    z, z_plus = (x.requires_grad_() for x in views(5, 3))
    with pytest.raises(RuntimeError, match="no second derivative: use info_nce or nt_xent"):
        torch.autograd.grad(blocked_info_nce(z, z_plus), z, create_graph=True)


def test_no_matrix_of_all_pairs_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    N, d = 3000, 8
    square = N * N * 8 / MIB  # one N x N matrix, 69 MiB
    monkeypatch.setattr(blocked, "COMPILED_FROM", 0)  # so that the small call loads the compiler, which is not counted
    peaks = [
        peak_memory(
            partial(value_and_gradients, loss, views(N, d)), warm=partial(value_and_gradients, loss, views(50, d))
        )
        for loss in (info_nce, blocked_info_nce)
    ]
    assert peaks[0] > 2 * square  # the measurement sees the plain loss's matrices
    assert peaks[1] < square / 4  # a block's rows are a thirtieth; the rest is room for the allocator


MUTATIONS = {
    "positive not taken away": ("s.scatter_add_(1, at, -Z).mul_(c)", "s.mul_(c)"),
    "positive at the wrong key": ("+ offset).remainder", "+ offset + 1).remainder"),
    "rows not normalised in ∂J/∂k": ("gk.addmm_((u * share).mT", "gk.addmm_((u * per_row).mT"),
    "rows not normalised in ∂J/∂q": (".mT.mul_(share)", ".mT.mul_(per_row)"),
    "1 / tau lost in the scores": ("alpha=per_tau", "alpha=1"),
    "1 / tau lost": ("lengths, per_tau, offset", "lengths, 1, offset"),
    "weight lost in ∂J/∂q": ("b[block, None], out", "torch.ones_like(b)[block, None], out"),
    "weight lost in the scores": ("u = q[block] * b[block, None]", "u = q[block]"),
    "1 / N lost": ("per_tau / N)", "per_tau)"),
    "norm taken for a constant in ∂J/∂q": ("_through_the_norm(gq, q, b, floor)", "pass"),
    "norm taken for a constant in ∂J/∂k": ("_through_the_norm(gk, k, c, floor)", "pass"),
    "lengths of k forgotten in the scores": ("s.mul_(c)\n    if offset", "if offset"),
    "own score kept": ("if offset:\n        s.diag", "if False:\n        s.diag"),
    "own score of the first block masked in every block": ("s.diagonal(first)", "s.diagonal(0)"),
    "maximum not given back": ("score = score - top", "pass"),
    "upstream gradient dropped": ("else (upstream * g).to(g)", "else g"),
    **(
        IN_COMPILED_BLOCKS := {
            "norm taken for a constant in NT-Xent": ("_through_the_norm(g, z, c, floor)", "pass"),
            "the bound of scores forgotten": ("and 1 / number(tau) <= _safe(both)", ""),
        }
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_in_the_blocks_is_found(name: str) -> None:
    text = Path(blocked.__file__).read_text()
    old, new = MUTATIONS[name]
    assert text.count(old) == 1
    mutant = types.ModuleType("mutant")
    exec(compile(text.replace(old, new), "mutant", "exec"), mutant.__dict__)  # N is small: torch's path …
    if name in IN_COMPILED_BLOCKS:
        mutant.__dict__["COMPILED_FROM"] = 0  # … but for these
    inputs = views(400, 6)
    twice = lambda loss: lambda *a, **k: 2 * loss(*a, **k)  # noqa: E731  an upstream gradient that is not 1
    with np.errstate(invalid="ignore"):  # a fault may take the logarithm of what is no number
        worst = max(
            excess(twice(plain), twice(other), inputs, tau)
            for plain, other in ((info_nce, mutant.blocked_info_nce), (nt_xent, mutant.blocked_nt_xent))
            for tau in (0.3, 0.001)  # exp 1000 is beyond float64
        )
    assert worst > 1e6  # at the order of the fault; rounding is below 1
