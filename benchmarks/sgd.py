"""SGD ensembles of linear networks: microseconds a run and step, project and peers in one run. `python -m benchmarks.sgd [--quick]`.

The system: P W x against W x⁺ with stop-gradient, k = d, isotropic Gaussian views x = a + e, x⁺ = a + e⁺. Every method takes
the same steps of the same law; the tests show that the project's steps equal autograd's on equal batches to rounding.
The methods stand in `benchmarks.sgd_methods`.

The columns are explained in COLUMNS, which the record repeats; the bounds stand in `benchmarks.sgd_bounds`. Memory is that
of the autograd loop and of the project, and not measured with --quick.

The goals are those of runs of which RATES learning rates see one batch, as `sgd_ensemble` takes them: such runs
are not independent of one another. What is left of a ratio where each run has batches of its own stands beside it ("at one rate").

The machine's speed drifts within seconds: a case is 5 rounds, in each of which the machine's rates, the loop, and the project
with RATES rates and with one are timed one after another, each at the fastest of 3, a call of more than a second once
(--quick: 3 rounds of 1); their ratios to one another and to the bound are medians over the rounds. The other methods are
timed after them, and their ratios, of medians, are rougher.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

from benchmarks import harness, plot

import torch  # isort: skip  after the harness, which sets the thread counts
from tqdm import tqdm

from benchmarks.sgd_bounds import bounds, by_moments, machine
from benchmarks.sgd_methods import LOOP, ONE, OWN, RATES, Method, methods

CASES = ((32, 16), (32, 32), (32, 256), (64, 32), (64, 256), (128, 64), (128, 512), (128, 2048), (256, 64), (256, 1024),
         (256, 4096))  # fmt: skip
QUICK = ((32, 256), (64, 32), (128, 64))
DTYPES = ("float64", "float32")
GOALS = {  # case -> how many times slower than the project the autograd loop should at least be
    "pairs, d <= 64": 15.0,
    "pairs, d > 64": 2.5,
    "moments": 25.0,
}
TURNS = LOOP, OWN, ONE  # timed in turn
LONG = 1.0  # seconds of a call from which on it averages over the machine's drift by itself
PATHS = {"batch = d/2": 0.5, "batch = 4d": 4.0}  # along which the time's growth with d is read; the products grow as d³
COLUMNS = {
    "rates": "learning rates that share a batch",
    "us_per_run_step": "median of the rounds; us_min and us_max the extremes",
    "slower": f"over {OWN}, of which {RATES} rates share a batch",
    "slower_than_one_rate": f"over {ONE}, every run with batches of its own",
    "bound_us": "the row's products at BLAS's best rate at any shape, and its normals at that of the project's own stream",
    "share_of_bound": "bound_us over us_per_run_step",
    "slower_than_bound": f"over the bound_us of {OWN}",
    "blas_us": "the same with the products at BLAS's rate at their very shapes: no bound, own tiles may be faster",
    "mib": "resident memory of the timed call at its peak, with what BLAS keeps for itself, in a process of its own",
}


def rounds(
    d: int, batch: int, dtype: str, plan: Sequence[Method], count: int, fastest_of: int
) -> dict[str, list[float]]:
    """For each of `count` rounds: µs a run and step of the methods in TURNS, and the bounds beside them, "bound 8" for 8 rates."""
    out: dict[str, list[float]] = {}
    turns = [(name, steps, call, _repeats(call, fastest_of)) for name, steps, _, call in plan if name in TURNS]
    for _ in range(count):
        of, now = machine(d, batch, dtype, fastest_of), {}
        for rates in (1, RATES):
            now[f"bound {rates}"], now[f"blas {rates}"] = bounds(d, batch, rates, of)
        for name, steps, call, times in turns:
            now[name] = 1e6 * harness.measure(call, times, warm_up=False).minimum / steps
        for key, value in now.items():
            out.setdefault(key, []).append(value)
    return out


def _repeats(call: Callable[[], Any], fastest_of: int) -> int:
    """Warms the call up, and says how often a round times it."""
    call()
    return 1 if harness.measure(call, 1, warm_up=False).median > LONG else fastest_of


def rows_of(d: int, batch: int, dtype: str, quick: bool) -> list[dict[str, Any]]:
    """A row a method."""
    seconds, repeats, fastest_of = (0.15, 3, 1) if quick else (0.25, 5, harness.FASTEST_OF)
    plan = methods(d, batch, dtype, seconds)
    found = rounds(d, batch, dtype, plan, repeats, fastest_of)
    rows = []
    for name, count, rates, call in plan:
        micro = found.get(name) or [1e6 * t / count for t in harness.measure(call, repeats).seconds]
        over = partial(_over, micro, found, name in TURNS)
        ours = name.startswith(("noncollapse", "batched"))
        row = {"d": d, "batch": batch, "dtype": dtype, "form": "moments" if ours and by_moments(d, batch) else "pairs",
               "method": name, "rates": rates, "us_per_run_step": statistics.median(micro), "us_min": min(micro),
               "us_max": max(micro), "slower": over(OWN), "slower_than_one_rate": over(ONE)}  # fmt: skip
        if ours:
            least, blas = (statistics.median(found[f"{key} {rates}"]) for key in ("bound", "blas"))
            row |= {"bound_us": least, "share_of_bound": 1 / over(f"bound {rates}"), "blas_us": blas}
        if name == LOOP:
            row["slower_than_bound"] = over(f"bound {RATES}")
        if name in (LOOP, OWN) and not quick:
            row["mib"] = harness.peak_memory(call, warm(d, batch, dtype)[name], fresh=True)
        rows.append(row)
    return rows


def _over(micro: Sequence[float], found: Mapping[str, Sequence[float]], in_turn: bool, key: str) -> float:
    """How many times found[key] the times `micro` are: the median over rounds that were taken in turn, else that of medians."""
    if in_turn:
        return statistics.median(x / y for x, y in zip(micro, found[key], strict=True))
    return statistics.median(micro) / statistics.median(found[key])


def warm(d: int, batch: int, dtype: str) -> dict[str, Callable[[], Any]]:
    """A small call of each method, of the form that this case has: what it loads and compiles is not the case's memory."""
    return {name: call for name, _, _, call in methods(8, 32 if by_moments(d, batch) else 4, dtype, 0.0)}


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The power of d with which the time of a run and step grows along PATHS, by type and method."""
    out: dict[str, dict[str, float]] = {}
    for (path, factor), dtype in product(PATHS.items(), DTYPES):
        along = [r for r in rows if r["batch"] == factor * r["d"] and r["dtype"] == dtype]
        sizes = sorted({r["d"] for r in along})
        if len(sizes) < 2:
            continue
        place = f"{path}, d = {', '.join(map(str, sizes))}, {dtype}"
        for method in (OWN, ONE, LOOP, "vmap"):
            times = {r["d"]: r["us_per_run_step"] for r in along if r["method"] == method}
            out.setdefault(place, {})[method] = harness.exponent(list(times), list(times.values()))
    return out


def goals(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """For each goal the ratio of the autograd loop to the project, and where; in brackets where it is missed, and if the bound
    would miss it too the ratio at the bound; and always what the ratio is if no batch is shared, for which no goal was set."""
    reached: dict[str, list[str]] = {}
    for r in (r for r in rows if r["method"] == LOOP):
        moments = by_moments(r["d"], r["batch"])
        case = "moments" if moments else "pairs, d <= 64" if r["d"] <= 64 else "pairs, d > 64"
        goal, ratio, allowed = GOALS[case], r["slower"], r["slower_than_bound"]
        beside = [] if ratio >= goal else ["missed"] if allowed >= goal else ["missed", f"{allowed:.3g}x at the bound"]
        beside.append(f"at one rate: {r['slower_than_one_rate']:.3g}x")
        said = f"{ratio:.3g}x at d = {r['d']}, batch {r['batch']} ({'; '.join(beside)})"
        key = f"{case}, {r['dtype']}, {RATES} learning rates on one batch, at least {goal:g}x"
        reached.setdefault(key, []).append(said)
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
        rows += rows_of(*case, quick)
    own = {dtype: machine(256, 1024, dtype, 5) for dtype in DTYPES}
    limits = harness.limits() | {f"own_normals_{dtype}_m_per_s": of.normals for dtype, of in own.items()}
    limits |= {f"best_gflops_{dtype}": of.gflops for dtype, of in own.items()}
    notes = {"goals (autograd loop over project)": goals(rows), "columns": "; ".join(f"{name}: {what}" for name, what in COLUMNS.items()),
             "time grows with d to the power": growth(rows), "limits of this machine": limits,
             "on a GPU": "benchmarks/sgd_gpu.py"}  # fmt: skip
    name = "sgd-quick" if quick else "sgd"
    draw(name, rows)
    path = harness.write(name, rows, notes)
    print(path.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
