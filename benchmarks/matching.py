"""Matching of true errors: the loosest tolerance at which a method is as exact as asked, so that methods differ in cost alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Match:
    """The loosest tolerance whose true error is within the target, and that error; None where none was."""

    tolerance: float | None
    error: float


def match(error_at: Callable[[float], float], target: float, tolerances: Iterable[float], stride: int = 1) -> Match:
    """Walk `tolerances` from loose to tight until error_at(tolerance) <= target: methods then differ in cost alone.

    stride: look at every stride-th first, then at those between the last that failed and the first that passed.
    """
    ladder = list(tolerances)
    coarse = range(stride - 1, len(ladder), stride) if stride > 1 else range(0)
    last, error = len(ladder) - 1, float("inf")
    for i in coarse:
        error = error_at(ladder[i])
        if error <= target:
            last = i
            break
    begin = max(0, last - stride + 1) if coarse else 0
    for i in range(begin, last + 1):
        if coarse and i == last and error <= target:
            break  # known already
        found = error_at(ladder[i])
        if found <= target:
            return Match(ladder[i], found)
        error = found if i == last else error
    return Match(ladder[last], error) if error <= target else Match(None, error)


def match_near(error_at: Callable[[float], float], target: float, tolerances: Sequence[float], guess: float) -> Match:
    """As `match`, from a tolerance known from a like problem: looser while the target is reached, else tighter until it is."""
    i = int(np.argmin(np.abs(np.log(np.asarray(tolerances) / guess))))
    error = error_at(tolerances[i])
    if not error <= target:
        return match(error_at, target, tolerances[i + 1 :]) if i + 1 < len(tolerances) else Match(None, error)
    while i > 0 and (looser := error_at(tolerances[i - 1])) <= target:
        i, error = i - 1, looser
    return Match(tolerances[i], error)
