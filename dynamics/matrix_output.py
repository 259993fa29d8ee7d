"""Outputs of a matrix flow at the times asked for, within the steps of its integrator. Compiled."""

from __future__ import annotations

from dynamics.matrix_clock import STABLE, WHEN
from dynamics.matrix_compiled import compiled
from dynamics.matrix_explicit import copy
from dynamics.matrix_passages import between


@compiled
def write(tableau, y, h, ahead, K, work, t, out, s):
    """Outputs written: out[i] <- y(t[i]) for the t up to `ahead`, the step's end; needs the extra stages inside."""
    written = 0
    while written < len(t) and t[written] <= ahead:
        if t[written] == ahead:
            copy(work[0], out[written])
        else:
            between(tableau, s[STABLE], y, work[0], h, K, (t[written] - s[WHEN]) / h, out[written])
        written += 1
    return written
