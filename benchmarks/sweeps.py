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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed  # comes with scikit-learn
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from benchmarks import harness
from benchmarks.tasks import histogram, nothing
from dynamics import machine
from noncollapse.engine import Engine, dask, processes
from noncollapse.sweep import sweep

CORES = machine.cores()
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


@dataclass(frozen=True)
class Workers:
    """How workers are started, and what they are then used by: method -> function of (workers, work, items)."""

    start: Callable[[], AbstractContextManager[Any]]
    uses: dict[str, Callable[[Any, Work, Sequence[int]], None]]


def by_engine(name: str, engine: Callable[[], Engine]) -> Workers:
    return Workers(lambda: engine()(), {f"sweep, {name}": recorded, f"bare, {name}": bare})


@contextmanager
def joblibs() -> Iterator[Parallel]:
    with Parallel(CORES) as parallel:
        yield parallel
    get_reusable_executor().shutdown()  # else its workers, and a process that waits for its children, stay for five minutes


WORKERS = (
    by_engine("all cores", lambda: processes(CORES)),
    by_engine("1 process", lambda: processes(1)),
    by_engine("dask", dask),
    Workers(lambda: multiprocessing.get_context("spawn").Pool(CORES), {"multiprocessing": pooled}),
    Workers(joblibs, {"joblib": by_joblib}),
)


def here() -> dict[str, Workers]:
    """The methods that can run here, and their workers."""
    dask_too = harness.installed("distributed")
    return {name: w for w in WORKERS for name in w.uses if dask_too or not name.endswith("dask")}


def methods(stack: ExitStack) -> tuple[dict[str, Method], dict[str, float]]:
    """Methods whose workers run, until the stack is closed, and how many seconds each took to start."""
    found: dict[str, Method] = {}
    start: dict[str, float] = {}
    for name, workers in here().items():
        if name in found:
            continue
        began = time.perf_counter()
        opened = stack.enter_context(workers.start())
        workers.uses[name](opened, nothing, [0])
        start[name] = time.perf_counter() - began
        found |= {each: partial(use, opened) for each, use in workers.uses.items()}
    return found, start


def handed_out(name: str, tasks: int) -> None:
    """Empty tasks by a method with workers of its own; picklable, for the process in which memory is measured."""
    workers = here()[name]
    with workers.start() as opened:
        workers.uses[name](opened, nothing, range(tasks))


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


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write results/sweeps (or sweeps-quick); returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller tasks: under a minute")
    quick = parser.parse_args(argv).quick
    tasks, members = (200, 100_000) if quick else (2000, 1_000_000)
    with ExitStack() as stack:
        found, start = methods(stack)
        rows = empty_rows(found, start, tasks)
        own = {name: method for name, method in found.items() if name.startswith("sweep")}
        rows += mode_rows(own, 4 if quick else 16, members)
        counts = (tasks // 10, tasks, 5 * tasks)
        notes: dict[str, Any] = {
            f"growth, {name}": growth(method, counts[:2] if quick or name.endswith("dask") else counts)
            for name, method in found.items()
            if not name.endswith("1 process")
        }
    for r in rows:
        if r["work"] == "empty" and not (quick or r["method"].endswith("1 process")):
            r["mib"] = harness.peak_memory(
                partial(handed_out, r["method"], 5 * tasks), partial(handed_out, r["method"], 10), fresh=True
            )
    notes |= {} if quick else {"mib": f"of {5 * tasks} empty tasks, in the process that hands them out"}
    if len(found) < sum(len(w.uses) for w in WORKERS):
        skipped = "distributed is not installed: pip install 'noncollapse[dask]'"
        rows.append({"work": "empty", "method": "sweep, dask", "skipped": skipped})
    path = harness.write("sweeps-quick" if quick else "sweeps", rows, notes, used="all used")
    print(path.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
