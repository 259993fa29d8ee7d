"""SGD ensembles of linear networks: microseconds a run and step, project and peers in one run. `python -m benchmarks.sgd [--quick]`.

The system: P W x against W x⁺ with stop-gradient, k = d, isotropic Gaussian views x = a + e, x⁺ = a + e⁺. Every method takes
the same steps of the same law; the tests show that the project's steps equal autograd's on equal batches to rounding.

    autograd loop      one run after another in plain torch: 3 normals a coordinate, backward, torch.optim.SGD
    autograd, batched  the ladder's sgd rung: replicas in one tensor, 2 normals a coordinate
    vmap               torch.func.grad of one run's loss under vmap over all runs
    batched            the project's tensor engine, the one for a GPU
    noncollapse        the project's compiled engine

The project's two engines share each batch among RATES learning rates; "one rate" is what is left without that. A call of
theirs is a whole `sgd_ensemble`, start, population losses and Runs included: some hundredths of the calls here, at most at
d = 256, and next to nothing of a run of 10^4 steps.

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
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from benchmarks import harness, plot

import numba  # isort: skip  after the harness, which sets the thread counts
import numpy as np
import torch
from tqdm import tqdm

from dynamics.run import Array
from dynamics.setting import GaussianViews, Network, Setting, Training
from full_models.batches import Shape
from full_models.ensemble import sgd_ensemble
from full_models.linear import sgd
from full_models.normals import Normals

SIGMA2 = 0.25  # variance of the noise on each view
RATES = 8
CASES = ((32, 16), (32, 32), (32, 256), (64, 32), (64, 256), (128, 64), (128, 512), (256, 64), (256, 1024))
QUICK = ((32, 256), (64, 32), (128, 64))
DTYPES = ("float64", "float32")
GOALS = {  # case -> how many times slower than the project the autograd loop should at least be
    "pairs, d <= 64": 15.0,
    "pairs, d > 64": 2.5,
    "moments": 25.0,
}
LOOP, OWN = PAIRED = ("autograd loop", "noncollapse")  # timed in turn
Method = tuple[str, int, int, Callable[[], Any]]


def setting(d: int, batch: int, angle: float = 0.0) -> Setting:
    """Isotropic views, or with `angle` noise of two scales in rotated axes, so that A and C do not commute."""
    noise = (SIGMA2,) * d if angle == 0 else tuple(SIGMA2 * (1 + i % 2) for i in range(d))
    views = GaussianViews((1.0,) * d if angle == 0 else tuple(1 - i / (2 * d) for i in range(d)), noise, angle)
    return Setting(views=views, network=Network(k=d), training=Training(points=2, batch=batch))


def normals(dtype: str, device: str) -> Callable[..., torch.Tensor]:
    """torch.randn of its own generator."""
    rng = torch.Generator(device).manual_seed(0)
    return partial(torch.randn, generator=rng, dtype=getattr(torch, dtype), device=device)


def autograd_loop(d: int, batch: int, dtype: str, steps: int, device: str = "cpu") -> None:
    """What one writes first: one run in plain torch."""
    normal = normals(dtype, device)
    W, P = ((normal(d, d) / d**0.5).requires_grad_() for _ in range(2))
    optimiser = torch.optim.SGD([W, P], lr=0.01)
    for _ in range(steps):
        a = normal(batch, d)
        x, x_plus = (a + SIGMA2**0.5 * normal(batch, d) for _ in range(2))
        J = (x @ W.mT @ P.mT - (x_plus @ W.mT).detach()).square().sum(-1).mean() / 2
        optimiser.zero_grad()
        J.backward()
        optimiser.step()


def vmapped(d: int, batch: int, dtype: str, runs: int, steps: int, device: str = "cpu") -> None:
    """All runs under one vmap of torch.func.grad, each with its own batch."""
    normal = normals(dtype, device)
    W, P = (normal(runs, d, d) / d**0.5 for _ in range(2))

    def J(W: torch.Tensor, P: torch.Tensor, x: torch.Tensor, x_plus: torch.Tensor) -> torch.Tensor:
        return (x @ W.mT @ P.mT - (x_plus @ W.mT).detach()).square().sum(-1).mean() / 2

    gradient = torch.func.vmap(torch.func.grad(J, argnums=(0, 1)))
    for _ in range(steps):
        a = normal(runs, batch, d)
        x, x_plus = (a + SIGMA2**0.5 * normal(runs, batch, d) for _ in range(2))
        gW, gP = gradient(W, P, x, x_plus)
        W, P = W - 0.01 * gW, P - 0.01 * gP


def ensemble(s: Setting, dtype: str, engine: str, replicas: int, rates: int, steps: int) -> Callable[[], Any]:
    lanes = [s.replace(training__lr=h, training__t_end=h * steps) for h in np.geomspace(1e-3, 1e-2, rates)]
    return partial(sgd_ensemble, lanes, replicas, dtype=dtype, engine=engine)


def methods(d: int, batch: int, dtype: str, seconds: float) -> list[Method]:
    """(name, runs x steps of a call, rates that share a batch, call); a call takes roughly `seconds`."""
    work = 12e-4 * d * d  # µs a pair in a batch, at 10 products of d x d a µs: sets lengths only
    loop = max(10, int(1e6 * seconds / (400 + work * batch)))
    steps = max(  # at four times that rate; one replica; long enough for the start to be little of it
        (600 if batch < d else 100) if d > 128 else 100,
        int(1e6 * seconds / (5 + work / 4 * min(batch, d)) / RATES),
    )
    s = setting(d, batch)
    plan: list[Method] = [
        (LOOP, loop, 1, partial(autograd_loop, d, batch, dtype, loop)),
        ("vmap", 16 * max(2, loop // 8), 1, partial(vmapped, d, batch, dtype, 16, max(2, loop // 8))),
        (OWN, RATES * steps, RATES, ensemble(s, dtype, "compiled", 1, RATES, steps)),
        ("noncollapse, one rate", RATES * steps, 1, ensemble(s, dtype, "compiled", 1, 1, RATES * steps)),
    ]
    if d <= 64:  # beyond, the 64 replicas that share a generator are too much for a call on the CPU
        plan.insert(2, ("batched", 64 * RATES * 16, RATES, ensemble(s, dtype, "batched", 64, RATES, 16)))
    if dtype == "float64":
        few = max(2, loop // 8)
        ladder = s.replace(training__lr=0.01, training__t_end=0.01 * few)
        plan.insert(1, ("autograd, batched", 16 * few, 1, partial(sgd, ladder, 16)))
        call = ensemble(setting(d, batch, angle=0.3), dtype, "compiled", 1, RATES, steps)
        plan.append(("noncollapse, A and C not commuting", RATES * steps, RATES, call))
    return plan


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
        same = [o["batch"] for o in rows if o["d"] == r["d"] and (o["batch"] >= o["d"]) == moments]
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
