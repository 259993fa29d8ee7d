"""What every benchmark shares: timing, peak memory, exponents, provenance, and the table.

One thread a process (set by `import noncollapse` before numpy loads). Times are wall-clock seconds of `run()` after one
warm-up, which takes compilation and first-touch of memory out of them; medians over repeats, with the extremes beside.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import noncollapse  # noqa: F401  sets the thread counts before numpy loads

import numpy as np  # isort: skip

from noncollapse.files import whole  # isort: skip

HOME = Path(__file__).resolve().parent / "results"
# where this run writes: a second machine's tables go into a folder of their own in HOME, and into README as a column
RESULTS = Path(os.environ.get("BENCHMARK_RESULTS") or HOME).resolve()
LIBRARIES = (
    "numpy", "scipy", "numba", "torch", "jax", "diffrax", "torchdiffeq", "torchode", "lightly",
    "pytorch-metric-learning", "dask", "distributed",
)  # fmt: skip
MIB = 2.0**20
FASTEST_OF = 3  # runs behind each repeat of a comparison


@dataclass(frozen=True)
class Timing:
    """Seconds of one `run()`: median, extremes and every repeat."""

    median: float
    minimum: float
    maximum: float
    seconds: tuple[float, ...]


def measure(run: Callable[[], Any], repeats: int = 5, warm_up: bool = True) -> Timing:
    """Time `run` `repeats` times (>= 5 for a published number), after one warm-up call."""
    if repeats < 1:
        raise ValueError(f"repeats = {repeats}: give at least 1")
    if warm_up:
        run()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return Timing(statistics.median(seconds), min(seconds), max(seconds), tuple(seconds))


def beside(
    run: Callable[[], Any], other: Callable[[], Any], repeats: int = 5, fastest_of: int = FASTEST_OF
) -> tuple[Timing, float]:
    """The Timing of `run`, and how many times longer it takes than `other`: both in turn, after a warm-up each, and the median
    of the ratios. On a machine whose speed drifts by minutes, two medians taken minutes apart are no ratio. A repeat is the
    fastest of `fastest_of` runs: what a neighbour on the machine takes only ever slows one of the two."""
    run(), other()
    pairs = [tuple(measure(f, fastest_of, warm_up=False).minimum for f in (run, other)) for _ in range(repeats)]
    seconds = [a for a, _ in pairs]
    timing = Timing(statistics.median(seconds), min(seconds), max(seconds), tuple(seconds))
    return timing, statistics.median(a / b for a, b in pairs)


def peak_memory(run: Callable[[], Any], warm: Callable[[], Any] | None = None, fresh: bool = False) -> float:
    """MiB of resident memory that `run` needs at its peak beyond what the process held before it; in a child process.

    warm: called first (a small problem of the same kind), so that compilation and imports are not counted.
    fresh: start a new interpreter instead of a fork; `run` and `warm` must then be picklable (module-level functions or
    partials of them). Needed for libraries that do not survive a fork (jax). Raises RuntimeError if the child fails.
    """
    context: Any = multiprocessing.get_context("spawn" if fresh else "fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(send, run, warm))
    child.start()
    send.close()
    try:
        got = receive.recv()
    except EOFError:
        got = "it died without a word"
    child.join()
    if not isinstance(got, float):
        raise RuntimeError(f"the run whose memory was to be measured failed: {got}")
    return got


def _child(send: Any, run: Callable[[], Any], warm: Callable[[], Any] | None) -> None:
    try:
        if warm is not None:
            warm()
        before = _resident("VmRSS", reset=True)
        run()
        send.send((_resident("VmHWM") - before) / MIB)
    except BaseException as error:
        send.send(f"{type(error).__name__}: {error}")


def _resident(key: str, reset: bool = False) -> float:
    """Bytes resident now (VmRSS) or at most since the last reset (VmHWM); where there is no /proc, at most ever."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
        return 1024.0 * float(line.split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """k of seconds ~ size^k: least squares in logarithms. NaN from fewer than two sizes."""
    if len(sizes) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def installed(name: str) -> str | None:
    """The version of a distribution, or None: a peer that is not installed is skipped, with that as the reason."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def limits() -> dict[str, float]:
    """What this machine's one thread can do, measured now: the bounds that workloads are held against."""
    n, rng = 768, np.random.Generator(np.random.SFC64(0))
    a, b, out = rng.standard_normal((n, n)), rng.standard_normal((n, n)), np.empty((n, n))
    single = a.astype(np.float32)
    big, copy, flat = np.ones(2**24), np.empty(2**24), np.empty(2**20)
    best = lambda run: measure(run, 5).minimum  # noqa: E731
    return {
        "dgemm_gflops": 2e-9 * n**3 / best(lambda: np.matmul(a, b, out=out)),
        "sgemm_gflops": 2e-9 * n**3 / best(lambda: single @ single),
        "copy_gb_per_s": 2e-9 * big.nbytes / best(lambda: np.copyto(copy, big)),
        "exp_g_per_s": 1e-9 * flat.size / best(lambda: np.exp(big[: flat.size], out=flat)),
        "normals_m_per_s": 1e-6 * flat.size / best(lambda: rng.standard_normal(out=flat)),
    }


def provenance() -> dict[str, Any]:
    """Machine, versions, commit and date of a benchmark made now; "-dirty" where the commit is not what was run."""
    return {
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()},
        "threads": 1,
        "versions": {"python": platform.python_version()} | {n: v for n in LIBRARIES if (v := installed(n))},
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": round(os.getloadavg()[0], 2),  # beyond about 1, someone else was using the machine
    }


def _commit() -> str:
    """Of the sources: what benchmarks themselves write may differ."""
    written = [f":!{path}" for path in ("benchmarks/results", "benchmarks/SCALING.md", "README.md")]
    changed = _git("status", "--porcelain", "--", ".", *written)
    return _git("describe", "--always") + "-dirty" * bool(changed) or "unknown"


def _git(*said: str) -> str:
    done = subprocess.run(["git", *said], capture_output=True, text=True, cwd=HOME.parents[1], check=False)
    return done.stdout.strip()


def _processor() -> str:
    try:
        line = next(x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name"))
        return line.split(":", 1)[1].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write(name: str, rows: Sequence[Mapping[str, Any]], notes: Mapping[str, Any], used: str = "one thread") -> Path:
    """benchmarks/results/<name>.json (rows, notes, provenance) and the same rows as a table in <name>.md; the JSON.
    used: of the machine's cores."""
    about = provenance()
    path = RESULTS / f"{name}.json"
    with whole(path) as part:
        part.write_text(json.dumps({"provenance": about, "notes": dict(notes), "rows": list(rows)}, indent=1) + "\n")
    machine, versions = about["machine"], ", ".join(f"{n} {v}" for n, v in about["versions"].items())
    head = f"{machine['processor']}, {machine['cores']} cores, {used}, load {about['load']}; {versions}; commit {about['commit']}."
    said = [f"- {key}: {_cell(value)}" for key, value in notes.items()]
    path.with_suffix(".md").write_text("\n".join([f"# {name}", "", head, "", *table(rows), "", *said, ""]))
    return path


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows as lines of a markdown table; columns are the keys, in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(_cell(row.get(key)) for key in columns) + " |" for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(x)}" for key, x in value.items())
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_cell(x) for x in value) + "]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
