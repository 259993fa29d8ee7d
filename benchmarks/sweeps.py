"""Sweeps: what handing out and recording a task costs, by each engine. `python -m benchmarks.sweeps [--quick]`.

empty     tasks that do nothing, to workers that run already: `noncollapse.sweep`, which writes a record of each, beside the
          same executor without it (submit, and results as they come) and beside multiprocessing's and joblib's own pools
modes     a histogram of mild modes a task (`benchmarks.tasks`): by sweeps, and in this process one after another

All cores are used. `start_s`: from nothing to the first result, imports of the workers included. Everything takes turns;
seconds are medians over rounds, and so are ratios, to the bare executor's in the same round or to one process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed  # comes with scikit-learn
from tqdm import tqdm

from benchmarks import harness
from benchmarks.tasks import histogram, nothing
from noncollapse.engine import Engine, dask, processes
from noncollapse.sweep import sweep

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
ROUNDS = 5
Work = Callable[[Any], Any]


def recorded(executor: Executor, work: Work, items: Sequence[int]) -> None:
    """By `noncollapse.sweep`, a record a task."""
    with tempfile.TemporaryDirectory() as folder:
        sweep(work, items, Path(folder), lambda: nullcontext(executor), chunk=1)


def bare(executor: Executor, work: Work, items: Sequence[int]) -> None:
    """By the executor alone: nothing is kept, a lost worker ends it."""
    for future in as_completed([executor.submit(work, item) for item in items]):
        future.result()


def alone(work: Work, items: Sequence[int]) -> None:
    """One after another in this process."""
    for item in items:
        work(item)


def pooled(pool: Any, work: Work, items: Sequence[int]) -> None:
    """By multiprocessing's pool, a task at a time."""
    for _ in pool.imap_unordered(work, items):
        pass


def by_joblib(parallel: Any, work: Work, items: Sequence[int]) -> None:
    """By joblib's workers, as many tasks at a time as it likes."""
    parallel(delayed(work)(item) for item in items)


Method = Callable[[Work, Sequence[int]], None]


def methods(stack: ExitStack) -> tuple[dict[str, Method], dict[str, float], dict[str, str]]:
    """Methods whose workers run, until the stack is closed; how many seconds each took to start; and the peers that are not
    here, with the reason."""
    found: dict[str, Method] = {}
    start: dict[str, float] = {}
    skipped: dict[str, str] = {}

    def open_all(
        names: Sequence[str], worker: AbstractContextManager[Any], uses: Sequence[Callable[..., None]]
    ) -> None:
        began = time.perf_counter()
        opened = stack.enter_context(worker)
        uses[0](opened, nothing, [0])
        start[names[0]] = time.perf_counter() - began
        found.update({name: partial(use, opened) for name, use in zip(names, uses, strict=True)})

    def by_engine(name: str, engine: Engine) -> None:
        open_all((f"sweep, {name}", f"bare, {name}"), engine(), (recorded, bare))

    by_engine("all cores", processes(CORES))
    by_engine("1 process", processes(1))
    if harness.installed("distributed"):
        by_engine("dask", dask())
    else:
        skipped["sweep, dask"] = "distributed is not installed: pip install 'noncollapse[dask]'"
    open_all(("multiprocessing",), multiprocessing.get_context("spawn").Pool(CORES), (pooled,))
    open_all(("joblib",), Parallel(CORES), (by_joblib,))
    return found, start, skipped


def timed(found: dict[str, Method], work: Work, items: Sequence[int]) -> dict[str, list[float]]:
    """Seconds of each method in each round, all in turn, after one round that warms them up."""
    for method in found.values():
        method(work, items[: 2 * CORES])
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for _ in tqdm(range(ROUNDS), desc=f"{len(items)} tasks", file=sys.stderr, disable=bool(os.environ.get("CI"))):
        for name, method in found.items():
            seconds[name].append(harness.measure(partial(method, work, items), 1, warm_up=False).minimum)
    return seconds


def empty_rows(found: dict[str, Method], start: dict[str, float], tasks: int) -> list[dict[str, Any]]:
    """Milliseconds a task that does nothing, and times what the bare executor takes in the same round."""
    rows = []
    seconds = timed(found, nothing, range(tasks))
    for name, each in seconds.items():
        row: dict[str, Any] = {"work": "empty", "method": name, "tasks": tasks}
        ms = [1e3 * s / tasks for s in each]
        row |= {"ms_per_task": statistics.median(ms), "ms_min": min(ms), "ms_max": max(ms), "repeats": len(ms)}
        if name.startswith("sweep"):
            other = seconds[name.replace("sweep", "bare")]
            row["times_bare"] = statistics.median(a / b for a, b in zip(each, other, strict=True))
        rows.append(row | ({"start_s": start[name]} if name in start else {}))
    return rows


def mode_rows(found: dict[str, Method], tasks: int, members: int) -> list[dict[str, Any]]:
    """Microseconds a trajectory, and how many times faster than one after another in this process."""
    rows = []
    seconds = timed(found | {"one after another": alone}, partial(histogram, members=members), range(tasks))
    for name, each in seconds.items():
        us = [1e6 * s / (tasks * members) for s in each]
        row: dict[str, Any] = {"work": f"modes, {members:.0e} a task", "method": name, "tasks": tasks}
        row |= {"us_per_trajectory": statistics.median(us), "us_min": min(us), "us_max": max(us), "repeats": len(us)}
        row["times_one_process"] = statistics.median(
            a / b for a, b in zip(seconds["one after another"], each, strict=True)
        )
        rows.append(row)
    return rows


def growth(method: Method, counts: Sequence[int]) -> dict[str, Any]:
    """Seconds against the number of empty tasks, and the exponent."""
    seconds = [harness.measure(partial(method, nothing, range(n)), ROUNDS).median for n in counts]
    return {"tasks": list(counts), "seconds": seconds, "exponent": harness.exponent(counts, seconds)}


def swept(tasks: int) -> None:
    """Picklable, for the child process in which the parent's memory is measured."""
    with processes(1)() as executor:
        recorded(executor, nothing, range(tasks))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write results/sweeps (or sweeps-quick); returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller tasks: under a minute")
    quick = parser.parse_args(argv).quick
    tasks, members = (200, 100_000) if quick else (2000, 1_000_000)
    with ExitStack() as stack:
        found, start, skipped = methods(stack)
        rows = empty_rows(found, start, tasks)
        own = {name: method for name, method in found.items() if name.startswith("sweep")}
        rows += mode_rows(own, 4 if quick else 16, members)
        notes: dict[str, Any] = {
            "growth, sweep, all cores": growth(
                found["sweep, all cores"], (tasks // 10, tasks, *(() if quick else (5 * tasks,)))
            )
        }
    largest = 5 * tasks
    notes[f"MiB that {largest} records take in the process that hands out"] = harness.peak_memory(
        partial(swept, largest), partial(swept, 10), fresh=True
    )
    rows += [{"work": "empty", "method": name, "skipped": reason} for name, reason in skipped.items()]
    path = harness.write("sweeps-quick" if quick else "sweeps", rows, notes, used="all used")
    print(path.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
