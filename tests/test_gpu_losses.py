"""On a CUDA GPU blocked losses are the plain ones, and those of the CPU at their edges; skipped where there is none."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from blocked_cases import PAIRS, excess, value_and_gradients, views
from gpu_cases import NEEDS_GPU

pytestmark = NEEDS_GPU
torch.set_num_threads(1)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_blocked_losses_are_the_plain_ones(name: str, dtype: torch.dtype) -> None:
    plain, other = PAIRS[name]
    for N, tau in product((7, 700), (0.5, 0.002)):
        assert excess(plain, other, [z.cuda() for z in views(N, 6, dtype)], tau) <= 1


def with_edges(dtype: torch.dtype, scale: float = 1.0) -> list[torch.Tensor]:
    """Two views with a zero row, and in the wide types one below the floor of its norm."""
    inputs = [scale * z for z in views(300, 8, dtype)]
    inputs[0][3] = 0
    if dtype.itemsize > 2:
        inputs[1][5] *= 1e-14 / scale
    return inputs


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    ("inputs", "law"),
    [
        (with_edges(torch.float64), 8 * 308 * 2**-53 / 0.05),  # 8 (N + d) u / tau as in blocked_cases
        (with_edges(torch.float32), 8 * 308 * 2**-24 / 0.05),
        (with_edges(torch.float32, 1e36), 8 * 308 * 2**-24 / 0.05),  # rows so long that they overflow over tau
        (with_edges(torch.float16), 2**-10),  # computed in float32, rounded once
        (with_edges(torch.bfloat16), 2**-7),
    ],
    ids=["float64", "float32", "long rows", "float16", "bfloat16"],
)
def test_blocked_losses_at_their_edges_are_those_of_the_cpu(name: str, inputs: list[torch.Tensor], law: float) -> None:
    """Row by row: a zero row's gradient is 1 / floor times the others'."""
    here, there = (value_and_gradients(PAIRS[name][1], [z.to(on) for z in inputs], tau=0.05) for on in ("cpu", "cuda"))
    for expected, got in zip(here, there, strict=True):
        assert got.dtype == expected.dtype and got.isfinite().all() and got.abs().max() > 0
        size = expected.double().abs().amax(-1) if expected.ndim else expected.double().abs()
        off = (got.cpu().double() - expected.double()).abs()
        off = off.amax(-1) if off.ndim else off
        least = float(size.median()) + 1e-7 * (expected.dtype.itemsize == 2)  # 6e-8 is float16's least number
        assert (off <= law * size.clamp(min=least)).all()


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("tau", [0.5, 0.002])
def test_a_learned_temperature_has_the_plain_losses_gradient(name: str, tau: float) -> None:
    slopes = []
    for loss in PAIRS[name]:
        t = torch.tensor(tau, dtype=torch.float64, device="cuda", requires_grad=True)
        loss(*(z.cuda() for z in views(60, 4)), tau=t).backward()
        slopes.append(t.grad)
    torch.testing.assert_close(*slopes, rtol=0, atol=8 * 64 * 2**-53 / tau**2)  # 8 (N + d) u in the unit of 1 / tau²
    assert slopes[0].abs() > 1e-3  # it is not 0


@pytest.mark.parametrize("name", PAIRS)
def test_blocked_losses_of_many_samples_need_no_matrix(name: str) -> None:
    N, d = 32768, 64
    z, z_plus = (torch.randn(N, d, device="cuda", requires_grad=True) for _ in range(2))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    PAIRS[name][1](z, z_plus).backward()
    rows = N if name == "InfoNCE" else 2 * N
    assert torch.cuda.max_memory_allocated() - before < rows**2 * 4 / 30  # 1/30 of the plain loss's one matrix
