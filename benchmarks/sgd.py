"""SGD ensembles of linear networks: microseconds a run and step, project and peers in one run. `python -m benchmarks.sgd [--quick]`.

The system: P W x against W x⁺ with stop-gradient, k = d, isotropic Gaussian views x = a + e, x⁺ = a + e⁺. Every method takes
the same steps of the same law; the tests show that the project's steps equal autograd's on equal batches to rounding.
The methods stand in `benchmarks.sgd_methods`.

bound_us: a row's products at the measured rate of large products, and its normals at the measured rate of the project's own
stream of them (numpy's rate is normals_m_per_s).
blas_us: the same with the products at the rate that BLAS has at these very shapes, which small ones do not lift to that of
large ones. The project multiplies smaller factors by its own tiles (`full_models.products`) and may be below it.

The machine's speed drifts within seconds: a case is 5 rounds, in each of which the machine's rates, the project and the loop,
which the goals are about, are timed one after another, each at the fastest of 3 (--quick: 3 rounds of 1); their ratios to one
another and to the bound are medians over the rounds. The other methods are timed after them, and their ratios are rougher.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from benchmarks import harness, plot

import numba  # isort: skip  after the harness, which sets the thread counts
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.sgd_methods import LOOP, OWN, RATES, Method, methods
from dynamics.run import Array
from full_models.batches import Shape
from full_models.normals import Normals

CASES = ((32, 16), (32, 32), (32, 256), (64, 32), (64, 256), (128, 64), (128, 512), (128, 2048), (256, 64), (256, 1024),
         (256, 4096))  # fmt: skip
QUICK = ((32, 256), (64, 32), (128, 64))
DTYPES = ("float64", "float32")
GOALS = {  # case -> how many times slower than the project the autograd loop should at least be
    "pairs, d <= 64": 15.0,
    "pairs, d > 64": 2.5,
    "moments": 25.0,
}
PAIRED = LOOP, OWN  # timed in turn


def products(d: int, batch: int) -> list[tuple[int, tuple[int, int, int]]]:
    """(how many, (m, k, n)) of the products of one step of the project's form, k = d: without the shared moments."""
    if by_moments(d, batch):
        return [(5, (d, d, d))]
    return [(4, (d, d, batch)), (2, (d, batch, d))]


def machine(dtype: str, repeats: int) -> dict[str, float]:
    """Rates at their fastest repeat: large products (GFLOP/s), and 10^6 normals/s of the project's own stream, into memory that
    stays in the caches."""
    a = np.random.default_rng(0).standard_normal((768, 768)).astype(dtype)
    out, source, size = np.empty_like(a), Normals(np.random.SeedSequence(0), dtype), 2**14
    fill = lambda: [source.fill((size,)) for _ in range(64)]  # noqa: E731
    return {"gflops": 2e-9 * 768**3 / harness.measure(partial(np.matmul, a, a, out=out), repeats).minimum,
            "own_normals_m_per_s": 64e-6 * size / harness.measure(fill, repeats).minimum}  # fmt: skip


def bounds(d: int, batch: int, dtype: str, rates: int, of: Mapping[str, float]) -> tuple[float, float]:
    """(bound_us, blas_us) a run and step on a `machine`: see the head of this file."""
    flops, shared, numbers = work(d, batch)
    at_shape = sum(flop / blas_gflops(*shape, dtype) for flop, shape in flops)
    drawn = shared / rates / of["gflops"] / 1e3 + numbers / rates / of["own_normals_m_per_s"]
    return sum(flop for flop, _ in flops) / of["gflops"] / 1e3 + drawn, at_shape / 1e3 + drawn


def work(d: int, batch: int) -> tuple[list[tuple[int, tuple[int, int, int]]], int, float]:
    """Of a step: (operations, shape) of each kind of product, operations of the batch's moments, and its random numbers."""
    flops = [(count * 2 * m * k * n, (m, k, n)) for count, (m, k, n) in products(d, batch)]
    if by_moments(d, batch):
        return flops, 2 * d**3, d * (3 * d + 1) / 2  # two products of triangles
    return flops, 0, 2 * d * batch


def by_moments(d: int, batch: int) -> bool:
    """Whether the project draws this case's moments rather than its pairs."""
    return Shape(d, batch, invariance=False, symmetrised=False, through=False).by_moments


@lru_cache
def blas_gflops(m: int, k: int, n: int, dtype: str) -> float:
    """GFLOP/s of BLAS at (m, k) by (k, n), called from compiled code over and over on the same matrices."""
    rng, flop = np.random.default_rng(0), 2 * m * k * n
    A, B = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    C, calls = np.empty((m, n), dtype), max(1, 10**8 // flop)
    return 1e-9 * flop * calls / harness.measure(partial(repeat, A, B, C, calls), 5).minimum


@numba.njit
def repeat(A: Array, B: Array, C: Array, calls: int) -> None:
    """C = A B, so many times, without Python between."""
    for _ in range(calls):
        np.dot(A, B, C)


def rounds(
    d: int, batch: int, dtype: str, plan: Sequence[Method], count: int, fastest_of: int
) -> dict[str, list[float]]:
    """For each of `count` rounds: the machine's rates, µs a run and step of the PAIRED methods, and "bound", that of the project."""
    out: dict[str, list[float]] = {}
    for _, _, _, call in (paired := [method for method in plan if method[0] in PAIRED]):
        call()
    for _ in range(count):
        of = machine(dtype, fastest_of)
        now = of | {"bound": bounds(d, batch, dtype, RATES, of)[0]}
        for name, steps, _, call in paired:
            now[name] = 1e6 * harness.measure(call, fastest_of, warm_up=False).minimum / steps
        for key, value in now.items():
            out.setdefault(key, []).append(value)
    return out


def rows_of(d: int, batch: int, dtype: str, quick: bool) -> list[dict[str, Any]]:
    """A row a method."""
    seconds, repeats, fastest_of = (0.15, 3, 1) if quick else (0.4, 5, harness.FASTEST_OF)
    plan = methods(d, batch, dtype, seconds)
    found = rounds(d, batch, dtype, plan, repeats, fastest_of)
    over = lambda a, b: statistics.median(x / y for x, y in zip(found[a], found[b], strict=True))  # noqa: E731
    of = {key: statistics.median(found[key]) for key in ("gflops", "own_normals_m_per_s")}
    rows = []
    for name, count, rates, call in plan:
        micro = found.get(name) or [1e6 * t / count for t in harness.measure(call, repeats).seconds]
        time, ours = statistics.median(micro), name.startswith(("noncollapse", "batched"))
        form = "moments" if ours and by_moments(d, batch) else "pairs"
        rows.append({"d": d, "batch": batch, "dtype": dtype, "form": form, "method": name, "rates": rates,
                     "us_per_run_step": time, "us_min": min(micro), "us_max": max(micro),
                     "slower": time / statistics.median(found[OWN])})  # fmt: skip
        if ours:
            least, blas = bounds(d, batch, dtype, rates, of)
            rows[-1] |= {"bound_us": least, "share_of_bound": least / time, "blas_us": blas}
        if name == OWN:
            rows[-1]["share_of_bound"] = over("bound", OWN)
        if name == LOOP:
            rows[-1] |= {"slower": over(LOOP, OWN), "slower_than_bound": over(LOOP, "bound")}
    return rows


def goals(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """For each goal the ratio of the autograd loop to the project, and where; where it is missed, and the bound would miss
    it too, also the ratio at the bound."""
    reached: dict[str, list[str]] = {}
    for r in (r for r in rows if r["method"] == LOOP):
        moments = by_moments(r["d"], r["batch"])
        case = "moments" if moments else "pairs, d <= 64" if r["d"] <= 64 else "pairs, d > 64"
        goal, ratio, allowed = GOALS[case], r["slower"], r["slower_than_bound"]
        missed = "" if ratio >= goal else " (missed)" if allowed >= goal else f" (missed; {allowed:.3g}x at the bound)"
        said = f"{ratio:.3g}x at d = {r['d']}, batch {r['batch']}{missed}"
        reached.setdefault(f"{case}, {r['dtype']}, at least {goal:g}x", []).append(said)
    return {goal: ", ".join(said) for goal, said in reached.items()}


def draw(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Time of a run and step against d, at the largest batch of each form."""
    kept = []
    for r in rows:
        moments = by_moments(r["d"], r["batch"])
        same = [o["batch"] for o in rows if o["d"] == r["d"] and by_moments(o["d"], o["batch"]) == moments]
        if r["batch"] == max(same) and "commuting" not in r["method"]:
            title = f"{r['dtype']}, " + ("batch >= 4 d: moments" if moments else "batch < d: pairs")
            kept.append(r | {"panel": title})
    kept.sort(key=lambda r: (r["dtype"] == "float32", "moments" in r["panel"]))
    plot.lines(name, kept, "d", "us_per_run_step", ("d", "time per run and step (µs)"), "bound_us")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a third of the cases, shorter: about a minute")
    quick = parser.parse_args(argv).quick
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    plan = [(d, batch, dtype) for d, batch in (QUICK if quick else CASES) for dtype in DTYPES]
    rows: list[dict[str, Any]] = []
    for case in tqdm(plan, file=sys.stderr, disable=bool(os.environ.get("CI"))):
        blas_gflops.cache_clear()  # measured for every case: the machine drifts, and a bound is of what it can do then
        rows += rows_of(*case, quick)
    own = {f"own_normals_{dtype}_m_per_s": machine(dtype, 5)["own_normals_m_per_s"] for dtype in DTYPES}
    limits = harness.limits() | own
    notes = {"goals (autograd loop over project)": goals(rows), "limits of this machine": limits,
             "on a GPU": "benchmarks/sgd_gpu.py"}  # fmt: skip
    name = "sgd-quick" if quick else "sgd"
    draw(name, rows)
    path = harness.write(name, rows, notes)
    print(path.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
