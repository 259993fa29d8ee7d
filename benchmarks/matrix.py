"""Matrix flows: the project and its peers in one run, at matched true error. `python -m benchmarks.matrix [--quick]`.

k = d. Starts have independent Gaussian entries of standard deviation 0.7 / √d unless said. Flows of the predictor with
stop-gradient and online target: general (C non-symmetric, not commuting with A), commuting (isotropic noise), aligned (a start
in the shared eigenbasis), ensemble (`benchmarks.matrix_ensembles`), stiff (`benchmarks.matrix_stiff`). Of the others: an EMA
target, no stop-gradient (general moments), InfoNCE of the population and on 2 d fixed pairs (starts smaller by √d), and the invariance flow in closed form
(`benchmarks.matrix_closed`).

The true error is max |W - exact| over max |exact| at the output times, exact by scipy's DOP853 at rtol 1e-13; each method
runs at the loosest tolerance that keeps it below the target, in steps of 10^(1/4), looked for from the one found at the
size below. d = 512 covers a sixteenth of the time span, against scipy's forms as printed; torchdiffeq, four times slower at
d = 128, is left out beyond. "slower" is the median ratio of runs in turn with the project's; "mib" begins after
a small problem (d = 4) of the same kind, and what jax compiles for the size at hand is in it.
Shares of limits: `benchmarks.matrix_limits`. One core: the process is bound to one.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import harness, plot

import numpy as np  # isort: skip  after the harness, which sets the thread counts
from tqdm import tqdm

from benchmarks import matrix_closed, matrix_ensembles, matrix_stiff
from benchmarks.matrix_goals import aims, goals
from benchmarks.matrix_limits import SIZES, add_counts, add_shares, product_rate
from benchmarks.matrix_peers import PEERS, PRINTED, SCIPY, Peer, exact, own, project
from benchmarks.matrix_problems import EMA, FREE, POPULATION, SAMPLES, SPAN, draw
from benchmarks.matrix_rows import TARGET, Method, error, row

TIMES = np.linspace(0.0, SPAN, 6)
SHORT = 1 / 16  # of SPAN, at d = 512, and for growth
OURS = Peer("noncollapse", "numpy", project)  # needs nothing that is not here
WITHOUT_TORCH = tuple(peer for peer in PEERS if peer.package != "torchdiffeq")
Guesses = dict[tuple[str, str], float]  # case, method -> the tolerance matched at the last size


def compare(case: str, d: int, peers: Sequence[Peer], memory: bool, known: Guesses, span: float = 1.0) -> list[dict[str, Any]]:  # fmt: skip
    """A row of the project, and one of each peer, "slower": times the project's. Reads `known`, and writes to it.

    span: share of SPAN."""
    q, small, problem, t = draw(case, d), draw(case, 4), f"{case} d={d}", span * TIMES
    true, rows, base = exact(q, t), [], None
    for peer in (OURS, *peers):
        if not harness.installed(peer.package):
            skipped = f"{peer.package} is not installed: pip install 'noncollapse[bench]'"
            rows.append({"problem": problem, "method": peer.name, "skipped": skipped})
            continue
        method = Method(peer.name, functools.partial(peer.solve, q, t), lambda W: error(W, true),
                        functools.partial(peer.solve, small, t, 1e-2))  # fmt: skip
        r = row(problem, method, known.get((case, peer.name)), memory, base)
        if "tolerance" in r:
            known[case, peer.name] = r["tolerance"]
        elif base is None:
            raise RuntimeError(f"{problem}: the project does not reach the target: {r['skipped']}")
        base = base or (functools.partial(project, q, t, r["tolerance"]), 1)
        rows.append(r)
    add_counts(rows[0], q, own(q, t, rows[0]["tolerance"]).facts)
    if case == "aligned":
        parts = matrix_closed.parts_of_aligned(q, t, rows[0]["tolerance"])
        rows[0] |= {"gflop": len(t) * q.gflop(1), "eigh_ms": parts[0]["ms"]}
        rows[1:1] = parts
    return rows


def growth(sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds of the general flow against d at one tolerance, and the exponent (3: products), of the project and of a peer."""
    found = {}
    for peer in (OURS, PRINTED[0]):
        runs = [functools.partial(peer.solve, draw("general", d), SHORT * TIMES, 1e-6) for d in sizes]
        seconds = [harness.measure(run).median for run in runs]
        found[peer.name] = {"d": list(sizes), "seconds": seconds, "exponent": harness.exponent(sizes, seconds)}
    return found


def plan(quick: bool, known: Guesses) -> list[Callable[[], list[dict[str, Any]]]]:
    """The tables one after another."""
    sizes, memory = (32, 128) if quick else (32, 128, 256), not quick
    stiff = (16,) if quick else (16, 32)
    job = functools.partial(compare, memory=memory, known=known)
    jobs = [functools.partial(job, "general", 8, SCIPY)]
    jobs += [
        functools.partial(job, "general", d, SCIPY if quick else PEERS if d <= 128 else WITHOUT_TORCH) for d in sizes
    ]
    jobs += [] if quick else [functools.partial(job, "general", 512, PRINTED, span=SHORT)]
    jobs += [functools.partial(job, "commuting", d, PRINTED) for d in sizes[: 1 if quick else 3]]
    jobs += [
        functools.partial(job, case, d, PRINTED)
        for case in (EMA, FREE, POPULATION, SAMPLES)
        for d in sizes[: 1 if quick else 2]
    ]
    jobs += [functools.partial(job, "aligned", 64 if quick else 128, PRINTED[:1])]
    members, some = (300, 6) if quick else (2000, 20)
    jobs += [
        functools.partial(matrix_ensembles.compare, members, some, d, TIMES, memory)
        for d in ((8,) if quick else (2, 8, 16))
    ]
    jobs += [
        functools.partial(matrix_stiff.compare, case, d, range(1 if quick else 5), not quick and d == 16, memory)
        for case in matrix_stiff.CASES
        for d in stiff
    ]
    return jobs + [functools.partial(matrix_closed.compare, case, sizes[-1], memory) for case in matrix_closed.SPANS]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and no memory: under 60 s once compiled")
    quick = parser.parse_args(argv).quick
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    jobs, before = plan(quick, {}), harness.limits()
    rows = [r for job in tqdm(jobs, file=sys.stderr, disable=bool(os.environ.get("CI"))) for r in job()]
    after = harness.limits()
    limits = {key: max(before[key], after[key]) for key in after}  # at its best: neighbours only ever take from it
    best = add_shares(rows, limits)
    notes = {
        "target true error": {"all but stiff": TARGET}
        | {case: target for case, (_, target) in matrix_stiff.CASES.items()},
        "goals": goals(rows),
        "stiff draws near a saddle": matrix_stiff.saddles((16,) if quick else (16, 32), range(1 if quick else 5)),
        "growth with d": growth((32, 64, 128) if quick else (32, 64, 128, 256, 512)),
        "growth with members, d=8": matrix_ensembles.growth(8, TIMES, 1e-7, *((300, 8) if quick else (2000, 20))),
        "GFLOP/s of products": {str(d): product_rate(d) for d in SIZES},
        "of_limit": f"products at the best rate seen, {best:.3g} GFLOP/s, and LAPACK's eigendecomposition (eigh_ms) "
        "where one is taken, over the time; of_d: products at the rate of their own d; of_copy: states once a use at a copy's rate",
        "limits of this machine": limits,
    }
    name = "matrix-quick" if quick else "matrix"
    path = harness.write(name, rows, notes)
    peers = [r for r in rows if "explicit only" in r["method"] or not r["method"].startswith(OURS.name)]
    plot.ratios(name, peers, aims(rows), "times as long as noncollapse (median of runs in turn, one core)")
    print(path.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
