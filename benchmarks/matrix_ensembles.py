"""Ensembles of small matrix flows: the project on all members at once, scipy on some of them one by one; costs a member.

The project is matched on the worst of all its members, against a tight run of its own (rtol 1e-13) that scipy's at 1e-13
bears out on the looped ones, to a hundredth of the target. The loop is matched on the worst of its own `looped` members
alone: it would need a tighter tolerance for all, so this favours it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.matrix_limits import add_counts
from benchmarks.matrix_peers import SCIPY, Peer, exact, own, project
from benchmarks.matrix_problems import Array, Predictor, draw
from benchmarks.matrix_rows import TARGET, Method, error, row

TIGHT = 1e-13


def looped(peer: Peer, qs: Sequence[Predictor], t: Array, tol: float) -> Array:
    """(B, T, k, d) by one solve a member."""
    return np.stack([peer.solve(q, t, tol) for q in qs])


def stacked(qs: Sequence[Predictor]) -> Predictor:
    """All members as one problem."""
    return Predictor(*(np.stack([getattr(q, f) for q in qs]) for f in ("W0", "P0", "A", "C")), eta=qs[0].eta)


def compare(members: int, some: int, d: int, t: Array, memory: bool) -> list[dict[str, Any]]:
    """A row of the project, and one of each way of scipy's."""
    qs = [draw("ensemble", d, seed) for seed in range(members)]
    every, few, problem = stacked(qs), qs[:some], f"ensemble d={d}"
    tight, reference = project(every, t, TIGHT), np.stack([exact(q, t) for q in few])
    if (apart := error(tight[:some], reference)) > TARGET / 100:
        raise RuntimeError(f"{problem}: the tight run is {apart:.1e} from scipy's: a fault of one of the two")
    ours = Method("noncollapse", functools.partial(project, every, t), lambda W: error(W, tight),
                  functools.partial(project, stacked(qs[:8]), t, 1e-2), members)  # fmt: skip
    rows = [row(problem, ours, None, memory)]
    run = functools.partial(ours.run, rows[0]["tolerance"])
    for peer in SCIPY:
        method = Method(f"{peer.name}, looped", functools.partial(looped, peer, few, t), lambda W: error(W, reference),
                        functools.partial(looped, peer, few[:1], t, 1e-2), some)  # fmt: skip
        rows.append(row(problem, method, None, memory, (run, members)))
    add_counts(rows[0], every, own(every, t, rows[0]["tolerance"]).facts)
    return rows


def growth(d: int, t: Array, tol: float, members: int, some: int) -> dict[str, Any]:
    """Exponents of the time in the number of members, of the project and of the loop."""
    qs = [draw("ensemble", d, seed) for seed in range(members)]
    found = {}
    for name, run, most in (("noncollapse", lambda qs: project(stacked(qs), t, tol), members),
                            (f"{SCIPY[0].name}, looped", lambda qs: looped(SCIPY[0], qs, t, tol), some)):  # fmt: skip
        sizes = [most // 4, most // 2, most]
        seconds = [harness.measure(functools.partial(run, qs[:size])).median for size in sizes]
        found[name] = {"members": sizes, "seconds": seconds, "exponent": harness.exponent(sizes, seconds)}
    return found
