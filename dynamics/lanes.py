"""The lanes in which members of an ensemble move side by side, and what is compiled for them: kernels and their driver.

One compiled driver (`dynamics.lane_driver`) serves every field; a field brings its kernels (`dynamics.kernel_source`), called
through their addresses: advance(S, used, limits) tries one step in the first `used` lanes and returns which of them
call, a bit each; begin(S, l) fills in what follows from the state of lane l (velocity, event values, first step); between(S, alone,
l, h), which not every method has, puts the state and the event values at h within lane l's last step into lane 0 of `alone`.

Letters: S the lanes' memory, where row r of lane l is S[r LANES + l]; l lane, i member, e event, j state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from dynamics.run import Array

LANES = 32  # eight AVX2 vectors; measured: with 16 a member takes a twentieth longer, with 8 a third; at most 63, bits of an int64
LINE = 8  # numbers in a line of the cache; rows of lanes are whole lines

T, H, T_END, T_NEXT = 0, 1, 2, 3  # time, proposed step, end, next output time
TRIES, STEPS, STIFF, ACTIVE = 4, 5, 6, 7  # counts; stiffness; is the lane used
T_OLD, H_OLD, ACCEPTED = 8, 9, 10  # of the step just tried
EVENTS = 11  # then per event: still sought?, its value before the step, and after; then y, k = f(y), both before; q; a kernel's own

DONE, STOPPED, NOT_FINITE, TOO_SMALL, TOO_MANY, STIFFENED, WAITING = 0, 1, 2, 3, 4, 5, 6  # status of a member

STIFF_COUNT = 12.0  # steps, net, at the edge of stability before a member counts as stiff
STIFF_REMAINING = 40.0  # ... counted where that step leaves more than this many to go
ACCEPT = (1.0, 1e200, np.inf, np.inf)  # limits under which `advance` accepts whatever step comes

_reals = types.float64[::1]
ADVANCE = types.int64(_reals, types.int64, _reals)
BEGIN = types.int64(_reals, types.int64)
BETWEEN = types.int64(_reals, _reals, types.int64, types.float64)

# Without numba's counting of references to arrays (nothing is allocated here), and called functions inline: a member that
# ends and the next one that takes its lane would cost as much as four tries of steps, and cost less than one.
OPTIONS: Any = {"nogil": True, "error_model": "numpy", "_nrt": False}
compiled = njit(**OPTIONS, forceinline=True)


def workspace(rows: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """(S, alone, here) of a drive with so many rows: lanes, lanes of which only the first is used, and the member of each lane
    with its next output time.

    The lanes begin at a line of the cache: with every second vector across two of them a try takes a fifth longer.
    """
    size = rows * LANES
    both = np.zeros(2 * size + LINE)
    first = -both.ctypes.data // both.itemsize % LINE
    return both[first : first + size], both[first + size : first + 2 * size], np.zeros((2, LANES), np.int64)
