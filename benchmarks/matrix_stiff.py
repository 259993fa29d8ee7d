"""Stiff matrix flows: several draws of two laws of starts, the stabilised method beside explicit ones.

d = 16; C = X has eigenvalues from 1 to 1e-3, A = X + Q X Qᵀ / 4 with Q a rotation near the identity, so that they do not
commute; until the slowest mode has converged, t = 30 / 1e-3. The entries g are independent standard normals. Two laws:

    basin     W0, P0 = (I + 0.42 g / √d) / 2, near a positive multiple of the identity, whose modes all grow
    generic   W0, P0 = 0.7 g / √d, of which some pass near a saddle

Near a saddle every error is amplified, and the tolerance that reaches a target tells of luck more than of the method. It
is measured, not supposed: a draw counts as near a saddle where DOP853 at rtol 1e-8 errs by more than AMPLIFIED times that.
Each method is matched to the target on every draw by itself, in steps of √10 of the tolerance, and timed once; a row has
the medians over the draws, and how many of them reached the target.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.matrix_peers import EXPLICIT, Array, Problem, error, own, project, project_explicit

D, CONDITION = 16, 1e3
TIMES = np.linspace(0.0, 30 * CONDITION, 6)
TOLERANCES = 10.0 ** -np.arange(2.0, 9.5, 0.5)
CASES = {
    "stiff, basin": ("basin", 1e-3),
    "stiff, tight": ("basin", 1e-4),
    "stiff, generic": ("generic", 1e-3),
}  # law, target
AMPLIFIED = 10.0  # of the error over rtol; most draws stay below 1
RTOL = 1e-8  # at which amplification is measured


def draw(law: str, seed: int) -> Problem:
    """One draw of a law, see the head of this file."""
    rng = np.random.default_rng([seed, D])
    g = rng.standard_normal((2, D, D)) / np.sqrt(D)
    W0, P0 = 0.7 * g if law == "generic" else (np.eye(D) + 0.42 * g) / 2
    U = np.linalg.qr(rng.standard_normal((D, D)))[0]
    X = (U * np.logspace(0, -np.log10(CONDITION), D)) @ U.T
    Q = np.linalg.qr(np.eye(D) + 0.1 * rng.standard_normal((D, D)))[0]
    A = X + Q @ X @ Q.T / 4
    return Problem(W0, P0, (A + A.T) / 2, (X + X.T) / 2)


@functools.cache
def reference(law: str, seed: int) -> Array:
    """By the project's DOP853 at rtol 1e-12, which tests and the mild rows hold against scipy's; scipy takes minutes here."""
    return project_explicit(draw(law, seed), TIMES, 1e-12)


def amplification(law: str, seed: int) -> float:
    """True error of DOP853 at rtol 1e-8, over 1e-8."""
    return error(project_explicit(draw(law, seed), TIMES, RTOL), reference(law, seed)) / RTOL


def saddles(seeds: Sequence[int]) -> dict[str, str]:
    """Per law: how many of the draws pass near a saddle, and every draw's amplification."""
    said = {}
    for law in dict.fromkeys(law for law, _ in CASES.values()):
        values = [amplification(law, seed) for seed in seeds]
        near = sum(value > AMPLIFIED for value in values)
        said[law] = f"{near} of {len(values)} (amplification {', '.join(f'{value:.2g}' for value in values)})"
    return said


def solve(name: str, run: Callable[[Problem, Array, float], Array], case: str, seed: int) -> dict[str, Any]:
    """One method on one draw: tolerance (None: the target was not reached), error, milliseconds."""
    law, target = CASES[case]
    q = draw(law, seed)
    matched = harness.match(lambda tol: error(run(q, TIMES, tol), reference(law, seed)), target, TOLERANCES, stride=2)
    out = {"method": name, "tolerance": matched.tolerance, "error": matched.error}
    if matched.tolerance is None:
        return out
    timing = harness.measure(functools.partial(run, q, TIMES, matched.tolerance), 1, warm_up=False)
    return out | {"ms": 1e3 * timing.median}


def compare(case: str, seeds: Sequence[int], peers: bool) -> list[dict[str, Any]]:
    """A row a method: medians over the draws that reached the target, ratios taken draw by draw."""
    methods = {"noncollapse": project, "noncollapse, explicit only": project_explicit}
    methods |= {peer.name: peer.solve for peer in EXPLICIT} if peers else {}
    rows, base = [], {}
    for name, run in methods.items():
        found = {seed: solve(name, run, case, seed) for seed in seeds}
        reached = {seed: r for seed, r in found.items() if "ms" in r}
        base = base or reached
        row = {"problem": f"{case} d={D}", "method": name, "draws": f"{len(reached)} of {len(found)}"}
        if reached:
            row |= {key: statistics.median(r[key] for r in reached.values()) for key in ("tolerance", "error", "ms")}
            row |= {f"ms_{f.__name__}": f(r["ms"] for r in reached.values()) for f in (min, max)}
        if ratios := [r["ms"] / base[seed]["ms"] for seed, r in reached.items() if seed in base]:
            row["slower"] = statistics.median(ratios)
        rows.append(row)
    law = CASES[case][0]
    made = [own(draw(law, seed), TIMES, r["tolerance"]).facts for seed, r in base.items()]
    if made:
        rows[0] |= {"stepping": ", ".join(sorted({f"{m.method}" for m in made})), "products": made[0].products,
                    "evaluations": int(statistics.median(int(m.evaluations.sum()) for m in made))}  # fmt: skip
    return rows
