"""The least that a step of an SGD ensemble takes on this thread, from rates measured beside the runs that are held against it.

bound_us: a row's products at the best rate that BLAS shows at any shape, those of the case and large ones, and its normals at
the rate of the project's own stream of them.
blas_us: the same with each product at BLAS's rate at its very shape. It is no bound, and never below bound_us: the project
multiplies smaller factors by its own tiles (`full_models.products`), which may be faster there.

Memory's bandwidth is in neither: what a step touches stays in the caches, but for the largest cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks import harness

import numba  # isort: skip  after the harness, which sets the thread counts
import numpy as np

from dynamics.run import Array
from full_models.batches import Shape
from full_models.normals import Normals

Product = tuple[int, int, int]  # (m, k) by (k, n)
CUBES = tuple((n, n, n) for n in (64, 256, 768))  # BLAS has its best rate at one or the other, by type and processor


@dataclass(frozen=True)
class Machine:
    """GFLOP/s of products at their shapes, and 10^6 normals/s of the project's own stream."""

    at_shape: Mapping[Product, float]
    normals: float

    @property
    def gflops(self) -> float:
        """The best rate seen at any shape."""
        return max(self.at_shape.values())


def machine(d: int, batch: int, dtype: str, repeats: int) -> Machine:
    """Rates at their fastest repeat, of the case's products and of CUBES; normals go into memory that stays in the caches."""
    source, size = Normals(np.random.SeedSequence(0), dtype), 2**14
    fill = lambda: [source.fill((size,)) for _ in range(64)]  # noqa: E731
    shapes = dict.fromkeys([*(shape for _, shape in products(d, batch)), *CUBES])
    return Machine({shape: blas_gflops(*shape, dtype, repeats) for shape in shapes},
                   64e-6 * size / harness.measure(fill, repeats).minimum)  # fmt: skip


def products(d: int, batch: int) -> list[tuple[int, Product]]:
    """(how many, shape) of the products of one step of the project's form, k = d: without the shared moments."""
    if by_moments(d, batch):
        return [(5, (d, d, d))]
    return [(4, (d, d, batch)), (2, (d, batch, d))]


def work(d: int, batch: int) -> tuple[list[tuple[int, Product]], int, float]:
    """Of a step: (operations, shape) of each kind of product, operations of the batch's moments, and its random numbers."""
    flops = [(count * 2 * m * k * n, (m, k, n)) for count, (m, k, n) in products(d, batch)]
    if by_moments(d, batch):
        return flops, 2 * d**3, d * (3 * d + 1) / 2  # two products of triangles
    return flops, 0, 2 * d * batch


def by_moments(d: int, batch: int) -> bool:
    """Whether the project draws this case's moments rather than its pairs."""
    return Shape(d, batch, invariance=False, symmetrised=False, through=False).by_moments


def bounds(d: int, batch: int, rates: int, of: Machine) -> tuple[float, float]:
    """(bound_us, blas_us) a run and step where so many rates share a batch: see the head of this file."""
    flops, shared, numbers = work(d, batch)
    drawn = shared / rates / of.gflops / 1e3 + numbers / rates / of.normals
    least = sum(flop for flop, _ in flops) / of.gflops
    at_shape = sum(flop / of.at_shape[shape] for flop, shape in flops)
    return least / 1e3 + drawn, at_shape / 1e3 + drawn


def blas_gflops(m: int, k: int, n: int, dtype: str, repeats: int) -> float:
    """GFLOP/s of BLAS at (m, k) by (k, n), called on the same matrices over and over: from compiled code, or where a call is
    long by numpy, whichever is faster there."""
    rng, flop = np.random.default_rng(0), 2 * m * k * n
    A, B = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    C, calls = np.empty((m, n), dtype), max(1, 10**8 // flop)
    seconds = [harness.measure(partial(repeat, A, B, C, calls), repeats).minimum]
    if calls == 1:
        seconds.append(harness.measure(partial(np.matmul, A, B, out=C), repeats).minimum)
    return 1e-9 * flop * calls / min(seconds)


@numba.njit
def repeat(A: Array, B: Array, C: Array, calls: int) -> None:
    """C = A B, so many times, without Python between."""
    for _ in range(calls):
        np.dot(A, B, C)
