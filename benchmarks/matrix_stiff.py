"""Stiff matrix flows: several draws of two laws of starts, the stabilised method beside explicit ones.

C = X has eigenvalues from 1 to 1e-3, A = X + Q X Qᵀ / 4 with Q a rotation near the identity, so that they do not
commute; until the slowest mode has converged, t = 30 / 1e-3. The entries g are independent standard normals. Two laws:

    basin     W0, P0 = (I + 0.42 g / √d) / 2, near a positive multiple of the identity, whose modes all grow
    generic   W0, P0 = 0.7 g / √d, of which some pass near a saddle

Near a saddle every error is amplified, and the tolerance that reaches a target tells of luck more than of the method. It
is measured, not supposed: a draw counts as near a saddle where DOP853 at rtol 1e-8 errs by more than AMPLIFIED times that.
Each method is matched to the target on every draw by itself, in steps of √10 of the tolerance, all methods on one draw
before the next; its time on a draw is the fastest of FASTEST_OF runs, of two where a run is dear. A row has the medians over the draws, the extremes
over them, and how many of them reached the target. The reference is scipy's (DOP853, rtol 1e-10) on every draw.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.matching import match, match_near
from benchmarks.matrix_limits import add_counts
from benchmarks.matrix_peers import EXPLICIT, exact, own, project, project_explicit
from benchmarks.matrix_problems import Array, Predictor
from benchmarks.matrix_rows import DEAR, error

CONDITION = 1e3
TIMES = np.linspace(0.0, 30 * CONDITION, 6)
TOLERANCES = tuple(10.0 ** -np.arange(2.0, 9.5, 0.5))
CASES = {
    "stiff, basin": ("basin", 1e-3),
    "stiff, tight": ("basin", 1e-4),
    "stiff, generic": ("generic", 1e-3),
}  # law, target
FASTEST_OF = 3
AMPLIFIED = 10.0  # of the error over rtol; most draws stay below 1
RTOL = 1e-8  # at which amplification is measured


def draw(law: str, d: int, seed: int) -> Predictor:
    """One draw of a law, see the head of this file."""
    rng = np.random.default_rng([seed, d])
    g = rng.standard_normal((2, d, d)) / np.sqrt(d)
    W0, P0 = 0.7 * g if law == "generic" else (np.eye(d) + 0.42 * g) / 2
    U = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = (U * np.logspace(0, -np.log10(CONDITION), d)) @ U.T
    Q = np.linalg.qr(np.eye(d) + 0.1 * rng.standard_normal((d, d)))[0]
    A = X + Q @ X @ Q.T / 4
    return Predictor(W0, P0, (A + A.T) / 2, (X + X.T) / 2)


@functools.cache
def reference(law: str, d: int, seed: int) -> Array:
    """By scipy alone."""
    return exact(draw(law, d, seed), TIMES, 1e-10)


def amplification(law: str, d: int, seed: int) -> float:
    """True error of DOP853 at rtol 1e-8, over 1e-8."""
    return error(project_explicit(draw(law, d, seed), TIMES, RTOL), reference(law, d, seed)) / RTOL


def saddles(sizes: Sequence[int], seeds: Sequence[int]) -> dict[str, str]:
    """Per law and size: how many of the draws pass near a saddle, and every draw's amplification."""
    said = {}
    for law in dict.fromkeys(law for law, _ in CASES.values()):
        for d in sizes:
            values = [amplification(law, d, seed) for seed in seeds]
            near = sum(value > AMPLIFIED for value in values)
            said[f"{law} d={d}"] = (
                f"{near} of {len(values)} (amplification {', '.join(f'{value:.2g}' for value in values)})"
            )
    return said


def solve(run: Any, case: str, d: int, seed: int, guess: float | None) -> dict[str, Any]:
    """One method on one draw: tolerance (None: the target was not reached), error, milliseconds. guess: of the last draw."""
    law, target = CASES[case]
    q = draw(law, d, seed)
    error_at = lambda tol: error(run(q, TIMES, tol), reference(law, d, seed))  # noqa: E731
    if guess is None:
        matched = match(error_at, target, TOLERANCES, stride=2)
    else:
        matched = match_near(error_at, target, TOLERANCES, guess)
    out = {"tolerance": matched.tolerance, "error": matched.error}
    if matched.tolerance is None:
        return out
    once = functools.partial(harness.measure, functools.partial(run, q, TIMES, matched.tolerance), warm_up=False)
    first = once(1).minimum
    again = once(1 if first > DEAR else FASTEST_OF - 1).minimum
    return out | {"ms": 1e3 * min(first, again)}


def compare(case: str, d: int, seeds: Sequence[int], peers: bool, memory: bool) -> list[dict[str, Any]]:
    """A row a method: medians over the draws that reached the target, ratios taken draw by draw; memory on the first draw."""
    methods = {"noncollapse": project, "noncollapse, explicit only": project_explicit}
    methods |= {peer.name: peer.solve for peer in EXPLICIT} if peers else {}
    found: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in methods}
    guesses: dict[str, float | None] = {}
    for seed in seeds:
        for name, run in methods.items():
            made = found[name][seed] = solve(run, case, d, seed, guesses.get(name))
            guesses[name] = made["tolerance"] or guesses.get(name)
    rows, base, law = [], found["noncollapse"], CASES[case][0]
    for name, run in methods.items():
        reached = {seed: r for seed, r in found[name].items() if "ms" in r}
        row: dict[str, Any] = {"problem": f"{case} d={d}", "method": name, "draws": f"{len(reached)} of {len(seeds)}"}
        if reached:
            row |= {key: statistics.median(r[key] for r in reached.values()) for key in ("tolerance", "error", "ms")}
            row |= {f"ms_{f.__name__}": f(r["ms"] for r in reached.values()) for f in (min, max)}
        if ratios := [r["ms"] / base[seed]["ms"] for seed, r in reached.items() if "ms" in base[seed]]:
            row["slower"] = statistics.median(ratios)
        if memory and reached:
            seed, r = next(iter(reached.items()))
            job = functools.partial(run, draw(law, d, seed), TIMES, r["tolerance"])
            row["mib"] = harness.peak_memory(
                job, functools.partial(run, draw(law, 4, 0), TIMES / 100, 1e-2), fresh=True
            )
        rows.append(row)
    made = {s: own(draw(law, d, s), TIMES, r["tolerance"]).facts for s, r in base.items() if "ms" in r}
    if made:
        middle = sorted(made.values(), key=lambda facts: facts.evaluations.sum())[len(made) // 2]
        add_counts(rows[0], draw(law, d, 0), middle)
    return rows
