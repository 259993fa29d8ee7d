"""SGD ensembles on a GPU: a thousand linear networks at once, microseconds a run and step. `python -m benchmarks.sgd_gpu`.

The system and the law of `benchmarks.sgd`, the same steps for every method, RUNS networks where a method takes many:

    autograd loop           one run in plain torch on the GPU: 3 normals a coordinate, backward, torch.optim.SGD
    vmap                    torch.func.grad of one run's loss under vmap over all runs
    noncollapse             the batched engine, every run with batches of its own
    noncollapse, 8 rates    the same where 8 learning rates share a batch
    one CPU core, 8 rates   the compiled engine on one thread of the same machine

Times are of a further step of a march under way, the GPU's queue empty at both ends; "a whole call" is `sgd_ensemble` from
start to Runs. bound_us: a row's products at the rate of one large product, its normals at the rate at which the card fills
a large array; what goes through memory between them is not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import harness, plot
from benchmarks.sgd_bounds import by_moments, work
from benchmarks.sgd_methods import RATES, autograd_loop, ensemble, setting, vmapped

import numpy as np  # isort: skip  after the harness, which sets the thread counts
import torch
from tqdm import tqdm

from full_models.device_march import DeviceMarch
from full_models.device_stream import DEVICE_STEPS, device_stream
from full_models.ensemble import first_lanes, sgd_ensemble
from full_models.sgd_steps import Batched, Weights

RUNS = 1024
CASES = ((32, 16), (32, 256), (64, 32), (64, 256), (128, 64), (128, 512), (256, 64), (256, 1024))
DTYPES = ("float64", "float32")
MANY = (16, 64, 256, 1024, 4096)  # runs at once, at one size
OWN, SHARED = "noncollapse", "noncollapse, 8 rates"
LOOP, VMAP, CORE = "autograd loop", "vmap", "one CPU core, 8 rates"
SECONDS = 0.1  # of a timed call, about


def marching(d: int, batch: int, dtype: str, replicas: int, rates: int) -> Callable[[int], None]:
    """The batched engine under way: a function that takes so many further steps."""
    s = setting(d, batch)
    lanes = [s.replace(training__lr=h, training__t_end=h * DEVICE_STEPS) for h in np.geomspace(1e-3, 1e-2, rates)]
    parts, each, first = first_lanes(lanes, np.dtype(dtype))
    weights = Weights(*(torch.from_numpy(M).cuda().expand(replicas, *M.shape).clone() for M in first))
    source = device_stream(s, range(replicas), getattr(torch, dtype), "cuda")
    march = DeviceMarch(Batched(parts, each, weights), source).march
    march(2 * DEVICE_STEPS)  # once without, once with the recording of the graph
    return march


def timed(run: Callable[[int], Any], unit: int, repeats: int) -> harness.Timing:
    """Seconds a step of `run(steps)`, whose steps are a multiple of `unit` and take about SECONDS."""

    def finished(steps: int) -> float:
        torch.cuda.synchronize()
        began = time.perf_counter()
        run(steps)
        torch.cuda.synchronize()
        return time.perf_counter() - began

    finished(unit)
    steps = unit * max(1, int(SECONDS / finished(unit)))
    seconds = [finished(steps) / steps for _ in range(repeats)]
    return harness.Timing(float(np.median(seconds)), min(seconds), max(seconds), tuple(seconds))


def methods(d: int, batch: int, dtype: str) -> dict[str, tuple[int, int, Callable[[int], Any]]]:
    """name -> (runs at once, rates that share a batch, steps -> …)."""

    def core(steps: int) -> None:
        ensemble(setting(d, batch), dtype, "compiled", 1, RATES, steps)()

    return {
        LOOP: (1, 1, lambda steps: autograd_loop(d, batch, dtype, steps, "cuda")),
        VMAP: (RUNS, 1, lambda steps: vmapped(d, batch, dtype, RUNS, steps, "cuda")),
        CORE: (RATES, RATES, core),
        OWN: (RUNS, 1, marching(d, batch, dtype, RUNS, 1)),
        SHARED: (RUNS, RATES, marching(d, batch, dtype, RUNS // RATES, RATES)),
    }


def card(dtype: str) -> dict[str, float]:
    """Rates: one large product, normals into a large array, a copy of one; fastest of five."""
    kind = getattr(torch, dtype)
    a = torch.randn(8192, 8192, dtype=kind, device="cuda")
    out, flat = torch.empty_like(a), torch.empty(2**27, dtype=kind, device="cuda")
    best = lambda run: timed(lambda n: [run() for _ in range(n)], 1, 5).minimum  # noqa: E731
    return {
        "tflops": 2e-12 * 8192**3 / best(lambda: torch.mm(a, a, out=out)),
        "normals_g_per_s": 1e-9 * flat.numel() / best(flat.normal_),
        "copy_tb_per_s": 2e-12 * a.nbytes / best(lambda: out.copy_(a)),
    }


def bound(d: int, batch: int, rates: int, of: dict[str, float]) -> float:
    """µs a run and step: see the head of this file."""
    flops, shared, numbers = work(d, batch)
    products = sum(flop for flop, _ in flops) + shared / rates
    return products / of["tflops"] / 1e6 + numbers / rates / of["normals_g_per_s"] / 1e3


def rows_of(d: int, batch: int, dtype: str, of: dict[str, float], repeats: int) -> list[dict[str, Any]]:
    """A row a method, slower: times the project's, every run with batches of its own."""
    rows: list[dict[str, Any]] = []
    for name, (runs, rates, run) in methods(d, batch, dtype).items():
        unit = 100 if name in (CORE, LOOP) else DEVICE_STEPS if name in (OWN, SHARED) else 2
        micro = [1e6 * s / runs for s in timed(run, unit, repeats).seconds]
        row = {"d": d, "batch": batch, "dtype": dtype, "form": "moments" if by_moments(d, batch) else "pairs",
               "method": name, "runs": runs, "us_per_run_step": float(np.median(micro)), "us_min": min(micro),
               "us_max": max(micro)}  # fmt: skip
        if name in (OWN, SHARED):
            row["bound_us"] = bound(d, batch, rates, of)
            row["share_of_bound"] = row["bound_us"] / row["us_per_run_step"]
        rows.append(row)
    (own,) = (row["us_per_run_step"] for row in rows if row["method"] == OWN)
    return [row | {"slower": row["us_per_run_step"] / own} for row in rows]


def growth(d: int, batch: int, dtype: str, repeats: int) -> dict[str, float]:
    """Runs at once -> µs a run and step: when the card is full."""
    return {f"{runs:,}": 1e6 * timed(marching(d, batch, dtype, runs, 1), DEVICE_STEPS, repeats).median / runs
            for runs in MANY}  # fmt: skip


def whole_call(d: int, batch: int, steps: int) -> str:
    """Seconds of a thousand runs from Setting to Runs, float64, as one calls it."""
    s = setting(d, batch).replace(training__lr=1e-3, training__t_end=1e-3 * steps)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    (run,) = sgd_ensemble([s], 1000, device="cuda")
    seconds = time.perf_counter() - began
    return f"{seconds:.3g} s for 1,000 runs of {run.facts['steps']:,} steps, {torch.cuda.max_memory_allocated() / 2**30:.3g} GiB"


def goals(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The slowest of the project's ratios, over all cases, to each other method; no aim was set for a GPU."""
    out = {}
    for name in (LOOP, VMAP, CORE):
        found = [(r["slower"], r) for r in rows if r["method"] == name]
        least, at = min(found, key=lambda pair: pair[0])
        most, top = max(found, key=lambda pair: pair[0])
        where = [f"d = {r['d']}, batch {r['batch']}, {r['dtype']}" for r in (at, top)]
        out[f"{name} over {OWN}, {RUNS:,} runs"] = f"{least:.3g}x ({where[0]}) to {most:.3g}x ({where[1]})"
    return out


def draw(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Time of a run and step against d, at the largest batch of each form."""
    largest = {(r["d"], r["form"]): r["batch"] for r in sorted(rows, key=lambda r: r["batch"])}
    kept = [r | {"panel": f"{r['dtype']}, " + ("batch >= 4 d: moments" if r["form"] == "moments" else "batch < d: pairs")}
            for r in rows if r["batch"] == largest[r["d"], r["form"]]]  # fmt: skip
    kept.sort(key=lambda r: (r["dtype"] == "float32", r["form"]))
    plot.lines(name, kept, "d", "us_per_run_step", ("d", "time per run and step (µs)"), "bound_us", on="one GPU")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two cases, three repeats: half a minute")
    quick = parser.parse_args(argv).quick
    if not torch.cuda.is_available():
        print("benchmarks.sgd_gpu: torch sees no CUDA GPU here; run it on a machine that has one", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    repeats, cases = (3, ((32, 256), (64, 32))) if quick else (5, CASES)
    cards = {dtype: card(dtype) for dtype in DTYPES}
    plan = [(d, batch, dtype) for d, batch in cases for dtype in DTYPES]
    rows: list[dict[str, Any]] = []
    for d, batch, dtype in tqdm(plan, file=sys.stderr, disable=bool(os.environ.get("CI"))):
        rows += rows_of(d, batch, dtype, cards[dtype], repeats)
        torch.cuda.empty_cache()
    notes = {
        "GPU": torch.cuda.get_device_name(), "goals (none set; ratios reached)": goals(rows),
        "limits of the card": cards, "a whole call, d = 64, batch 256": whole_call(64, 256, 1000 if quick else 10_000),
        "µs a run and step by runs at once, d = 64, batch 256, float64": growth(64, 256, "float64", repeats),
    }  # fmt: skip
    name = "sgd_gpu-quick" if quick else "sgd_gpu"
    draw(name, rows)
    print(harness.write(name, rows, notes).with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
