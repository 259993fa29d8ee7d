"""A row of the matrix tables: one method at the loosest tolerance that reaches the target, its time, and its memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.matching import Match, match, match_near
from benchmarks.matrix_problems import Array

TOLERANCES = tuple(10.0 ** -np.arange(2.0, 12.25, 0.25))
TARGET = 1e-6
DEAR = 0.1  # seconds: beyond, a repeat of a ratio is one run, not the fastest of several


@dataclass(frozen=True)
class Method:
    """run(tolerance) -> answer, of `members` problems at once; error(answer) is its true error; small() is a little of the same
    work, called before memory is measured. run and small can be pickled."""

    name: str
    run: Callable[[float], Any]
    error: Callable[[Any], float]
    small: Callable[[], Any]
    members: int = 1


def error(W: Array, exact: Array) -> float:
    """max |W - exact| over max |exact|, of the worst member where there are several (…, T, k, d); infinite where W is not finite."""
    if not np.isfinite(W).all():
        return np.inf
    axes = (-3, -2, -1)
    return float((np.abs(W - exact).max(axes) / np.abs(exact).max(axes)).max())


def matched(m: Method, target: float, guess: float | None = None) -> Match:
    """The loosest tolerance that reaches the target; guess: one known from a like problem, where the search begins."""
    error_at = lambda tol: m.error(m.run(tol))  # noqa: E731
    if guess is None:
        return match(error_at, target, TOLERANCES, stride=4)
    return match_near(error_at, target, TOLERANCES, guess)


def row(
    problem: str,
    m: Method,
    guess: float | None,
    memory: bool,
    ours: tuple[Callable[[], Any], int] | None = None,
) -> dict[str, Any]:
    """Milliseconds a member: median, least and most of five repeats; "slower": median ratio to the project's run
    ours = (run, members), in turn with it."""
    start: dict[str, Any] = {"problem": problem, "method": m.name} | ({"members": m.members} if m.members > 1 else {})
    found = matched(m, TARGET, guess)
    if found.tolerance is None:
        return start | {"skipped": f"error {found.error:.1e} even at the tightest tolerance"}
    run = functools.partial(m.run, found.tolerance)
    out = start | {"tolerance": found.tolerance, "error": found.error} | clocked(run, m.members, ours)
    if memory:
        out["mib"] = harness.peak_memory(run, m.small, fresh=True)
    return out


def clocked(run: Callable[[], Any], members: int = 1, ours: tuple[Callable[[], Any], int] | None = None) -> dict[str, float]:  # fmt: skip
    """ms, ms_min, ms_max a member and slower, see `row`."""
    if ours is None:
        timing, ratio = harness.measure(run), 1.0
    else:
        other, count = ours
        dear = harness.measure(run, 1, warm_up=False).median > DEAR  # warm from the matching
        timing, ratio = harness.beside(run, other, fastest_of=1 if dear else harness.FASTEST_OF)
        ratio *= count / members
    ms = 1e3 / members
    return {"ms": ms * timing.median, "ms_min": ms * timing.minimum, "ms_max": ms * timing.maximum, "slower": ratio}
