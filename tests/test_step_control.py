"""One try of the explicit lanes against the method written out in numpy: what is accepted, and the step proposed next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dynamics import compiled, lanes, modes
from dynamics.kernel_source import SAFETY, memory_rows
from dynamics.kernel_text import rows
from dynamics.rough_power import HIGH
from dynamics.tableaus import VERNER_A, VERNER_B, VERNER_E

Q = [1.3, 1.0, 1.5, 0.8, 0.1, 0.05]  # a, c, alpha_p, beta, eta, eta_p
ATOL = 1e-12
LENGTHS, RTOLS = st.floats(0.2, 3.0), st.floats(-9.0, -2.0)
ROUNDING = 1e-6  # of the norm: stages of order one differ by 1e-16, error combinations above 1e-10 are used


def tried(y0: list[float], h: float, rtol: float) -> tuple[bool, float]:
    """Whether the kernel accepts a step h from y0 at this rtol, and h's next value over h."""
    advance, begin, *_ = compiled.kernels("verner", modes.field, 3, 6, None, 0, "")
    row, at = rows(3, 6, 0), lambda r: r * lanes.LANES
    S = np.zeros(memory_rows("verner", 3, 6, 0, "") * lanes.LANES)
    S[[at(row["y"] + j) for j in range(3)]], S[[at(row["q"] + j) for j in range(6)]] = y0, Q
    S[at(lanes.T_END)], S[at(lanes.ACCEPTED)] = np.inf, 1.0  # as in a lane that starts
    begin(S, 0)
    S[at(lanes.H)] = h
    advance(S, 1, np.array([ATOL, rtol, np.inf, np.inf]))
    return bool(S[at(lanes.ACCEPTED)]), S[at(lanes.H)] / h


def norm(y0: list[float], h: float, rtol: float) -> float:
    """The error norm of the same step: root mean square over the states, each error over atol + rtol max(|y|, |z|)."""
    y, k = np.array(y0), np.zeros((len(VERNER_B), 3))
    for i, row in enumerate(VERNER_A):
        k[i] = modes.field(*(y + h * row @ k), *Q)
    z = y + h * VERNER_B @ k
    scale = ATOL + rtol * np.maximum(np.abs(y), np.abs(z))
    return float(np.sqrt(np.mean((h * VERNER_E @ k / scale) ** 2)))


@settings(deadline=None)
@given(st.floats(0.2, 0.9), st.floats(0.2, 0.9), LENGTHS, RTOLS)
def test_a_try_is_judged_by_its_error(p: float, w: float, h: float, exponent: float) -> None:
    y0, rtol = [p, w, 0.5 * w], 10.0**exponent
    E = norm(y0, h, rtol)
    assume(E * rtol > 1e-10 and abs(E - 1) > ROUNDING)  # above rounding, and not on the edge itself
    accepted, change = tried(y0, h, rtol)
    assert accepted == (E <= 1)
    wanted = SAFETY * E ** (-1 / 8)
    low, high = max(0.2, wanted * (1 - ROUNDING)), max(0.2, wanted * HIGH * (1 + ROUNDING))  # the kernel's own clip
    assert min(10.0, low) <= change <= min(10.0, high) or (not accepted and change == pytest.approx(0.2))


def test_both_answers_occur() -> None:
    """The test above compares something: the same step is rejected at a tolerance just below its error, accepted just above."""
    y0, h = [0.6, 0.9, 0.2], 1.0
    rtol = next(r for r in np.geomspace(1e-9, 1e-2, 400) if norm(y0, h, r) <= 1)  # steps of 4 %
    assert tried(y0, h, rtol)[0] and not tried(y0, h, rtol / 1.1)[0]
