"""The tasks that `benchmarks.sweeps` hands out: a module of their own, so that the workers of any engine can import them."""

from __future__ import annotations

import numpy as np

from dynamics import modes
from dynamics.ensemble import integrate_many

T_END, TOLERANCE, BINS = 20.0, 1e-6, 10


def nothing(item: int) -> int:
    """What is left of a task's time is its engine's."""
    return item


def histogram(seed: int, members: int) -> list[int]:
    """How many of `members` mild modes, drawn at random, end with |w| in each tenth of [0, 1] and beyond (BINS + 1 counts)."""
    rng = np.random.default_rng(seed)
    p, w, eta, a = (rng.uniform(low, high, members) for low, high in ((0.05, 1), (0.05, 1), (0.0, 0.1), (1.0, 2.0)))
    out = integrate_many(modes.field, (p, w, w), (a, 1.0, 1.0, 0.5, eta, eta), T_END, rtol=TOLERANCE)
    if not out.ok.all():
        raise RuntimeError("; ".join(out.failures()))
    return np.bincount(np.minimum(BINS * np.abs(out.y[:, 1]), BINS).astype(int), minlength=BINS + 1).tolist()
