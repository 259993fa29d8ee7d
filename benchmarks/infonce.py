"""InfoNCE of N samples, value and gradient: project and peers in one run. `python -m benchmarks.infonce [--quick]`.

The methods stand in `benchmarks.infonce_methods`; tau = 0.1, cosine critic. The bound of a row is 6 N² d operations (NT-Xent,
N its rows, whose scores are a symmetric matrix: 4) at the measured rate of large products and N² exponentials at the fastest
rate in cache that is known here (numpy's, torch's, or the project's own); `bound_at_shape_s` takes the products at the rate of
their own shapes instead, blocks of rows x d x N, which no library runs at the large rate where d is small. Memory is the peak
beyond the inputs, in a process of its own in which compilers are loaded already. Errors are against float64 autograd where
that fits. The machine's speed drifts within seconds, for minutes: a row is 5 rounds (9 where the goals are, 1 with --quick),
spread over the whole run, all rows taking turns. In each the run, the machine's rates, and where the goals are the naive form,
are timed one after another, each at the fastest of 3 (a run beyond N = 8192 once); a row's ratios are the medians of its rounds'.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from typing import Any

from benchmarks import harness

import numpy as np  # isort: skip  after the harness, which sets the thread counts
import torch
from tqdm import tqdm

from benchmarks import plot
from benchmarks.infonce_methods import METHODS, Gradients, by_torch, call, naive, prepare, views
from full_models.losses import blocked, info_nce, nt_xent
from full_models.losses.exponential import exponentials

DTYPES = ("float64", "float32")
PLAIN_LIMIT = 8192  # from here on the N x N matrices of naive and plain forms are gigabytes each
GOALS = {"times naive": 4.0, "times less memory": 30.0, "share of the bound": 0.75}
GOAL_N = 4096
OPERATIONS = {False: 6, True: 4}  # times N² d, of InfoNCE and of NT-Xent


def compiler_memory() -> float:
    """MiB that the first compiled call of a process takes for the compiler, beside what the second one takes."""
    return harness.peak_memory(
        partial(prepare, "blocked", 256, 16, "float64"), partial(call, "blocked", 256, 16, "float64"), fresh=True
    )


EXPONENTIALS: dict[str, Callable[[Any, Any], Any]] = {
    "numpy": lambda x, y: np.exp(x, out=y),
    "torch": lambda x, y: torch.exp(torch.from_numpy(x), out=torch.from_numpy(y)),
    "own": exponentials,
}


def rates(dtype: str, repeats: int = 9) -> dict[str, float]:
    """Products (best of numpy and torch at 1024³, GFLOP/s) and exponentials in cache (G/s), at their fastest repeat."""
    a = np.random.default_rng(0).standard_normal((1024, 1024)).astype(dtype)
    out = {f"products {dtype}, GFLOP/s": 2e-9 * 1024**3 / _fastest(_product(a, a, np.empty_like(a)), repeats)}
    x, y = -np.abs(a.ravel()[: 2**14]), np.empty(2**14, dtype)  # 128 KB of float64 each: in the second cache
    for name, exp in EXPONENTIALS.items():
        many = lambda exp=exp: [exp(x, y) for _ in range(50)]  # noqa: E731
        out[f"exponentials {dtype} by {name}, G/s"] = 50e-9 * len(x) / harness.measure(many, repeats).minimum
    return out


@lru_cache(maxsize=32)
def seconds_at_shape(N: int, d: int, dtype: str) -> float:
    """The three products of a block of rows, u kᵀ, s k and sᵀ u, at their own shapes, times the number of blocks."""
    rows, rng = min(N, blocked.BLOCK // np.dtype(dtype).itemsize), np.random.default_rng(0)
    u, k, s = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, d), (N, d), (rows, N)))
    forms = (  # both layouts of a result: which of them a library runs faster is its own affair
        [*_product(u, k.T, s)],
        [*_product(s, k, np.empty_like(u)), *_product(k.T, s.T, np.empty((d, rows), dtype))],
        [*_product(s.T, u, np.empty_like(k)), *_product(u.T, s, np.empty((d, N), dtype))],
    )
    return N / rows * sum(_fastest(same, 7) for same in forms)


def _product(a: Any, b: Any, out: Any) -> list[Callable[[], Any]]:
    """a b by numpy and by torch."""
    x, y, z = (torch.from_numpy(m) for m in (a, b, out))
    return [partial(np.matmul, a, b, out=out), partial(torch.mm, x, y, out=z)]


def _fastest(forms: list[Callable[[], Any]], repeats: int) -> float:
    return min(harness.measure(form, repeats).minimum for form in forms)


def errors(got: Gradients, exact: Gradients) -> float:
    """Largest relative error of the value and of the two gradients (in the largest entry)."""
    value = abs(got[0] - exact[0]) / abs(exact[0])
    return max(value, *(float(np.abs(g - e).max() / np.abs(e).max()) for g, e in zip(got[1:], exact[1:], strict=True)))


@dataclass(frozen=True)
class Case:
    """A row of the table: what is timed, in how many rounds, and whether its memory is measured."""

    method: str
    N: int
    d: int
    dtype: str
    rounds: int
    memory: bool

    @property
    def symmetric(self) -> bool:
        return self.method.startswith("NT")

    @property
    def measured(self) -> bool:
        return self.method != "NT-Xent: lightly" or bool(harness.installed("lightly"))


def clock(case: Case) -> Callable[[], dict[str, float]]:
    """A function that times one round of the case."""
    run = partial(METHODS[case.method], *views(case.N, case.d, case.dtype))
    goals_here = (case.method, case.N) == ("blocked", GOAL_N)
    other = partial(naive, *views(case.N, case.d, "float64")) if goals_here else None
    if case.rounds > 1 and case.N < PLAIN_LIMIT:  # beyond, what a first call costs is lost in seconds of work
        run()
    rows = 2 * case.N if case.symmetric else case.N
    return partial(_round, run, other, rows, case.d, case.dtype, OPERATIONS[case.symmetric])


def row(case: Case, rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """One line of the table: the medians of the rounds, error and memory."""
    out: dict[str, Any] = {"N": case.N, "d": case.d, "dtype": case.dtype, "method": case.method}
    if not rounds:
        return out | {"skipped": "lightly is not installed"}
    seconds = [r["seconds"] for r in rounds]
    out |= {"seconds": statistics.median(seconds), "s_min": min(seconds), "s_max": max(seconds), "repeats": len(rounds)}
    out |= {key: statistics.median(r[key] for r in rounds) for key in rounds[0] if key != "seconds"}
    if case.N < PLAIN_LIMIT:
        data = views(case.N, case.d, case.dtype)
        exact = by_torch(nt_xent if case.symmetric else info_nce, *(x.astype(float) for x in data))
        out["error"] = errors(METHODS[case.method](*data), exact)
    if case.memory:
        asked = (case.method, case.N, case.d, case.dtype)
        out["mib"] = harness.peak_memory(partial(call, *asked), partial(prepare, *asked), fresh=True)  # see peak_memory
    return out


def _round(
    run: Callable[[], Any], other: Callable[[], Any] | None, rows: int, d: int, dtype: str, operations: int
) -> dict[str, float]:
    """Seconds of a run, and what the machine's rates just before and the naive form just after it make of them."""
    limits = rates(dtype, harness.FASTEST_OF)
    seconds = harness.measure(run, 1 if rows > PLAIN_LIMIT else harness.FASTEST_OF, warm_up=False).minimum
    products = 1e-9 * operations * rows**2 * d / limits[f"products {dtype}, GFLOP/s"]
    exps = 1e-9 * rows**2 / max(limits[f"exponentials {dtype} by {by}, G/s"] for by in EXPONENTIALS)
    bound, at_shape = products + exps, max(products, operations / 6 * seconds_at_shape(rows, d, dtype)) + exps
    out = {"seconds": seconds, "bound_s": bound, "share_of_bound": bound / seconds}
    out |= {"bound_at_shape_s": at_shape, "share_at_shape": at_shape / seconds}
    if other:
        out["times_naive"] = harness.measure(other, harness.FASTEST_OF, warm_up=False).minimum / seconds
    return out


def _fits(name: str, N: int, d: int, dtype: str, quick: bool) -> bool:
    """Large N for the blocked form alone, NT-Xent at one size; quick: autograd at one size."""
    if N > PLAIN_LIMIT:
        return name == "blocked" and (N < 65536 or dtype == "float32")
    if name.startswith("NT"):
        return (N, d) == (2048, 128)
    return not (quick and name == "autograd") or N == 1024


def cases(quick: bool) -> list[Case]:
    """The table's rows, in its order."""
    names = [name for name in METHODS if not (quick and name.startswith("NT"))]
    shapes = [(1024, 128), *((GOAL_N, d) for d in ((16, 128) if quick else (16, 64, 128)))]
    if not quick:
        shapes += [(2048, 128), (16384, 128), (65536, 128)]
    out = []
    for (N, d), dtype, name in product(shapes, DTYPES, names):
        if _fits(name, N, d, dtype, quick):
            rounds = 1 if quick else 9 if (name, N) == ("blocked", GOAL_N) else 5
            memory = N == GOAL_N and (name == "blocked" or not quick or (name, dtype) == ("naive numpy", "float64"))
            out.append(Case(name, N, d, dtype, rounds, memory or N > PLAIN_LIMIT))
    return out


def compare(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Adds to each row how its time and memory stand to the naive form's; returns what was reached at N = 4096, by d."""
    reached: dict[str, list[str]] = {}
    for r in rows:
        at = [
            q for q in rows if (q["N"], q["d"], q["dtype"], q["method"]) == (r["N"], r["d"], "float64", "naive numpy")
        ]
        if at and "seconds" in r and not r["method"].startswith("NT"):
            r.setdefault("times_naive", at[0]["seconds"] / r["seconds"])
            r["times_naive_at_bound"] = r["times_naive"] / r["share_of_bound"]
            r |= {"times_less_memory": at[0]["mib"] / r["mib"]} if "mib" in r and "mib" in at[0] else {}
        if (r["N"], r["method"]) == (GOAL_N, "blocked") and at:
            for (goal, least), key in zip(
                GOALS.items(), ("times_naive", "times_less_memory", "share_of_bound"), strict=True
            ):
                if key in r:
                    reached.setdefault(f"{goal}, at least {least:g}, {r['dtype']}", []).append(_said(r, key, least))
    return {goal: ", ".join(said) for goal, said in reached.items()}


def _said(r: dict[str, Any], key: str, least: float) -> str:
    """What was reached and where, as in 2.3 at d = 64; where it misses the goal and even the bound would, what that allows."""
    place = f"{r[key]:.3g} at d = {r['d']}"
    if r[key] >= least:
        return place
    if key == "times_naive" and r["times_naive_at_bound"] < least:
        return f"{place} (missed; {r['times_naive_at_bound']:.3g} at the bound)"
    return f"{place} (missed)"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="N to 4096, one round: a minute or two")
    quick = parser.parse_args(argv).quick
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    plan = cases(quick)
    rounds: dict[Case, list[dict[str, float]]] = {case: [] for case in plan}
    bar = tqdm(total=sum(case.rounds for case in plan), file=sys.stderr, disable=bool(os.environ.get("CI")))
    clocks = {case: clock(case) for case in plan if case.measured}
    for turn in range(max(case.rounds for case in plan)):
        for case in clocks:
            if turn < case.rounds:
                rounds[case].append(clocks[case]())
                bar.update()
    rows = [row(case, found) for case, found in rounds.items()]
    reached = compare(rows)
    ours = [r for r in rows if r["method"] == "blocked" and r["d"] == 128 and r["dtype"] == "float32"]
    growth = harness.exponent([r["N"] for r in ours], [r["seconds"] for r in ours])
    if not quick:
        plot.against_size("infonce", [r for r in rows if not r["method"].startswith("NT")], GOAL_N, 128)
    notes = {"goals at N = 4096, against naive numpy in float64": reached,
             "limits of this machine": rates("float64") | rates("float32"),
             "MiB that the compiler takes, once a process": compiler_memory(),
             "seconds grow with N to the power (blocked, float32)": growth}  # fmt: skip
    path = harness.write("infonce-quick" if quick else "infonce", rows, notes)
    print(path.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
