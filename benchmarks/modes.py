"""Per-mode ensembles: the project and its peers in one run, at matched true error. `python -m benchmarks.modes [--quick]`.

The system is `dynamics.modes.field`: (p, w, v) under an EMA target, six parameters a member, drawn at random. Mild:
rates of order one; stiff: alpha_p and beta from 100 to 1000. The true error of a member is max |y - exact| over
max |exact| (`benchmarks.modes_reference`): of the first 200 members (stiff: 60) by scipy, of every member of the project's
own rows by a tight run that those validate. Each method runs at the loosest tolerance, in steps of 10^(1/4), at which the
99 % quantile of it is below the target, and again at the loosest at which every checked member's is: where one step size
serves all, or one norm over all decides on it, a quantile hides members that are wrong by orders.
Ratios are medians over runs in turn with the project's. One core: the process is bound to one, but for the note on threads.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import harness, plot
from benchmarks.matching import match

import numpy as np  # isort: skip  after the harness, which sets the thread counts
from tqdm import tqdm

from benchmarks.modes_goals import GOALS, MEASURES, compare, within
from benchmarks.modes_limit import share_of_limit
from benchmarks.modes_peers import PEERS, Array, Peer, project
from benchmarks.modes_reference import T_END, TARGET, draw, errors, exact, tight
from dynamics import modes
from dynamics.ensemble import integrate_many
from dynamics.phases import classify, collapse_time

REFERENCES = {"mild": (200, 40), "stiff": (60, 6)}  # members by scipy: in a full run, in a quick one
TOLERANCES = 10.0 ** -np.arange(3.0, 12.25, 0.25)
BUDGET_SECONDS, BUDGET_MIB = 3.0, 200.0  # for 10^6 mild trajectories on one core
DIAGRAM_SECONDS = 5.0  # for a phase diagram of 10^6 points: a few seconds


def solve(peer: Peer | None, case: str, members: int, tol: float) -> Array:
    """Picklable, for the child process in which memory is measured."""
    return (project if peer is None else peer.solve)(*draw(case, members), T_END, tol)


def row(case: str, name: str, peer: Peer | None, members: int, reference: Array, quick: bool,
        ours: Mapping[str, Any] | None = None) -> dict[str, Any]:  # fmt: skip
    """One line of the table: tolerances matched, microseconds per trajectory, memory; and how many times slower it is than the
    project's own line `ours`, timed in turn with it."""
    data, run = draw(case, members), project if peer is None else peer.solve
    found = functools.cache(lambda tol: errors(run(*data, T_END, tol), reference))

    def error_at(measure: Callable[[Array], float], tol: float) -> float:
        return measure(found(tol)) if np.isfinite(found(tol)).all() else np.inf

    out: dict[str, Any] = {"problem": case, "method": name, "members": members, "checked": min(members, len(reference))}
    for suffix, measure in MEASURES.items():
        matched = match(functools.partial(error_at, measure), TARGET, TOLERANCES, stride=4)
        out |= {"tolerance" + suffix: matched.tolerance, "error" + suffix: matched.error}
        if matched.tolerance is None:
            out["skipped"] = f"error{suffix} {matched.error:.1e} even at the tightest tolerance"
        else:
            other = (ours["members"], ours["tolerance" + suffix]) if ours else None
            fastest_of = 1 if quick else harness.FASTEST_OF
            out |= {k + suffix: v for k, v in times(run, case, members, matched.tolerance, other, fastest_of).items()}
    tol = out["tolerance"]
    if not quick and tol is not None:
        warm = functools.partial(solve, peer, case, members if peer and peer.compiles else 64, tol)
        out["mib"] = harness.peak_memory(functools.partial(solve, peer, case, members, tol), warm, fresh=True)
    return out


def times(
    run: Callable[..., Array], case: str, members: int, tol: float, ours: tuple[int, float] | None, fastest_of: int
) -> dict[str, Any]:
    """Microseconds per trajectory, and the ratio to the project's with `ours` = (members, tolerance), timed in turn."""
    timed, out = functools.partial(run, *draw(case, members), T_END, tol), {}
    if ours is None:
        timing = harness.measure(timed)
    else:
        timing, ratio = harness.beside(
            timed, functools.partial(project, *draw(case, ours[0]), T_END, ours[1]), fastest_of=fastest_of
        )
        out["slower"] = ratio * ours[0] / members
    scale = 1e6 / members
    return out | {
        "us_per_trajectory": scale * timing.median,
        "us_min": scale * timing.minimum,
        "us_max": scale * timing.maximum,
    }


def growth(case: str, tol: float, sizes: Sequence[int], name: str, run: Callable[..., Any]) -> dict[str, Any]:
    """Seconds against the number of members, and the exponent."""
    seconds = [harness.measure(functools.partial(run, *draw(case, m), T_END, tol)).median for m in sizes]
    return {"problem": case, "method": name, "members": list(sizes), "seconds": seconds,
            "exponent": harness.exponent(sizes, seconds)}  # fmt: skip


def million(tol: float) -> dict[str, Any]:
    """10^6 mild trajectories: seconds, and memory beyond the inputs' own process."""
    size = 1_000_000
    data = draw("mild", size)
    seconds = harness.measure(lambda: project(*data, T_END, tol)).median
    mib = harness.peak_memory(functools.partial(_million, tol, size), functools.partial(_million, tol, 64), fresh=True)
    return {"seconds": seconds, "mib_with_inputs": mib}


def threaded(tol: float, cores: set[int]) -> dict[str, float]:
    """10^6 mild trajectories by one thread a core, in turn with a single thread. Binds the process to these cores, and then back
    to the last of them."""
    data = draw("mild", 1_000_000)
    os.sched_setaffinity(0, cores)
    timing, ratio = harness.beside(
        functools.partial(project, *data, T_END, tol, threads=len(cores)), functools.partial(project, *data, T_END, tol)
    )
    os.sched_setaffinity(0, {max(cores)})
    return {"threads": len(cores), "seconds": timing.median, "times faster than one thread": 1 / ratio}


def diagram(side: int) -> float:
    """Seconds for the phase diagram that `noncollapse phase` draws unasked, decay against start, on one core."""
    eta, p0 = np.linspace(0.0, 0.3, side)[None, :], np.linspace(0.0, 1.0, side)[:, None]
    return harness.measure(lambda: classify(p0, p0, a=1.25, eta=eta)).median


def closed_form() -> float:
    """Microseconds a member."""
    size, rng = 100_000, np.random.default_rng(0)
    eta, p0 = rng.uniform(0.01, 0.4, size), rng.uniform(0.01, 1.0, size)
    return 1e6 / size * harness.measure(lambda: collapse_time(p0, 1.25, 1.0, eta)).median


def _million(tol: float, size: int) -> None:
    """As a user would: the columns drawn one by one, scalars left as scalars."""
    rng = np.random.default_rng(0)
    p, w, eta, a = (rng.uniform(low, high, size) for low, high in ((0.05, 1), (0.05, 1), (0.0, 0.1), (1.0, 2.0)))
    integrate_many(modes.field, (p, w, w), (a, 1.0, 1.0, 0.5, eta, eta), T_END, rtol=tol)


def rows_of(quick: bool) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """A row a problem, method and size; and by problem the project's own at its largest."""
    rows: list[dict[str, Any]] = []
    ours: dict[str, dict[str, Any]] = {}
    own = (20_000,) if quick else (1000, 100_000)
    sizes = lambda case, peer: own if peer is None else getattr(peer, case)  # noqa: E731
    plan = [(case, peer, members) for case in GOALS for peer in (None, *PEERS) for members in sizes(case, peer)]
    if quick:  # the smallest ensemble of each, a dozen members where they go one by one
        plan = [(c, p, min(m, 12) if m < 100 else m) for c, p, m in plan if m == sizes(c, p)[0]]
    references = {case: exact(case, some[quick]) for case, some in REFERENCES.items()}
    every = {case: tight(case, max(own), references[case]) for case in GOALS}
    for case, peer, members in tqdm(plan, file=sys.stderr, disable=bool(os.environ.get("CI"))):
        name = "noncollapse" if peer is None else peer.name
        about = {"family": "project" if peer is None else peer.family}
        if peer is not None and not harness.installed(peer.package):
            rows.append({"problem": case, "method": name, **about, "skipped": f"{peer.package} is not installed"})
            continue
        best = None if peer is None else ours[case]
        reference = references[case] if peer else every[case]
        rows.append(row(case, name, peer, members, reference, quick, ours=best) | about)
        if peer is None:
            ours[case] = rows[-1]
    return rows, ours


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write results/modes (or modes-quick); returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer members and no memory of peers: under 90 s")
    quick = parser.parse_args(argv).quick
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    rows, ours = rows_of(quick)
    reached = compare(rows)
    counts = [10**k for k in range(3, 6 if quick else 7)]
    notes: dict[str, Any] = {
        "target true error (99 % quantile; columns _worst: the largest; of as many members as the column checked says)": TARGET,
        "goals": reached,
    }
    notes |= {
        f"growth, {case}": growth(case, ours[case]["tolerance"], counts, "noncollapse", project) for case in GOALS
    }
    notes["collapse time on the parabola in closed form, us"] = closed_form()
    if not quick:
        found, seconds = million(ours["mild"]["tolerance"]), diagram(1000)
        notes |= {"a million mild trajectories": found, "a phase diagram of a million points, seconds": seconds}
        spent = [within(found["seconds"], BUDGET_SECONDS, "s"), within(found["mib_with_inputs"], BUDGET_MIB, "MiB")]
        reached[f"mild: a million trajectories, at most {BUDGET_SECONDS:g} s and {BUDGET_MIB:g} MiB"] = ", ".join(spent)
        key = f"a phase diagram of 1000 x 1000 points, at most {DIAGRAM_SECONDS:g} s"
        reached[key] = within(seconds, DIAGRAM_SECONDS, "s")
        if len(cores) > 1:
            notes["a million mild trajectories, a thread a core"] = threaded(ours["mild"]["tolerance"], cores)
    limits = harness.limits()
    notes |= {
        f"distance from the limit, {case}": share_of_limit(case, *draw(case, 10_000), T_END, ours[case], limits)
        for case in GOALS
    }
    notes["limits of this machine"] = limits
    plot.bars("modes-quick" if quick else "modes", rows, "us_per_trajectory", "time per trajectory (µs, one core)")
    path = harness.write("modes-quick" if quick else "modes", [_rounded(r) for r in rows], notes)
    print(path.with_suffix(".md").read_text())
    return 0


def _rounded(r: Mapping[str, Any]) -> dict[str, Any]:
    order = ("problem", "method", "members", "checked", "tolerance", "error", "us_per_trajectory", "us_min", "us_max", "slower",
             "tolerance_worst", "error_worst", "us_per_trajectory_worst", "slower_worst", "mib", "skipped")  # fmt: skip
    return {key: float(f"{r[key]:.4g}") if isinstance(r.get(key), float) else r[key] for key in order if key in r}


if __name__ == "__main__":
    raise SystemExit(main())
