"""Taylor's steps: the edge of stability, steps made to fit, and the other explicit method."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mode_cases import sized
from series_oracles import solution

from dynamics import compiled, kernel_source, lanes, modes, taylor_source
from dynamics.ensemble import integrate_many
from dynamics.kernel_text import rows
from dynamics.rough_power import HIGH
from dynamics.taylor_source import DEGREE


def test_edge_of_stability() -> None:
    """|Σ (-x)^k / k!| <= 1 up to STABILITY and beyond 1 after it, to the digits it is given with."""
    R = lambda x: sum((-x) ** k / math.factorial(k) for k in range(DEGREE + 1))  # noqa: E731
    assert all(abs(R(x)) < 1 for x in np.linspace(1e-3, taylor_source.STABILITY - 0.005, 1000))
    assert abs(R(taylor_source.STABILITY + 0.005)) > 1


Q = [1.3, 1.0, 1.5, 0.8, 0.1, 0.05]  # a, c, alpha_p, beta, eta, eta_p
ATOL = 1e-12


def tried(y: list[float], h: float, rtol: float) -> tuple[float, float, np.ndarray]:
    """Of one try of the compiled kernel with a proposal h: the step it takes, the next proposal, and z."""
    kind, trace = compiled.explicit(modes.field, 3, 6, False)
    advance, begin, *_ = compiled.kernels(kind, modes.field, 3, 6, None, 0, trace)
    S, row = np.zeros((kernel_source.memory_rows(kind, 3, 6, 0, trace), lanes.LANES)), rows(3, 6, 0)
    S[row["y"] : row["y"] + 3, 0], S[row["q"] : row["q"] + 6, 0] = y, Q
    S[lanes.T_END, 0], S[lanes.ACCEPTED, 0] = np.inf, 1.0
    begin(S.reshape(-1), 0)
    S[lanes.H, 0] = h
    advance(S.reshape(-1), 1, np.array([ATOL, rtol, np.inf, np.inf]))
    assert S[lanes.ACCEPTED, 0] == 1.0
    return S[lanes.H_OLD, 0], S[lanes.H, 0], S[row["y"] : row["y"] + 3, 0].copy()


def error(c: np.ndarray, h: float, rtol: float) -> float:
    """The larger of the last two terms, each root mean square over atol + rtol max(|y|, h |y'|)."""
    scale = ATOL + rtol * np.maximum(np.abs(c[:, 0]), h * np.abs(c[:, 1]))
    return max(float(np.sqrt(np.mean((c[:, k] * h**k / scale) ** 2))) for k in (DEGREE - 1, DEGREE))


@settings(deadline=None)
@given(st.floats(0.2, 0.9), st.floats(0.2, 0.9), st.floats(0.0, 0.9), st.floats(-2.0, 1.0), st.floats(-11.0, -2.0))
def test_a_step_is_made_to_fit(p: float, w: float, v: float, exponent: float, tolerance: float) -> None:
    """Also where a state starts at zero, or much too long a step is proposed."""
    y, h, rtol = [p, w, v], 10.0**exponent, 10.0**tolerance
    c = solution(modes.field, y, Q)[0]
    taken, following, z = tried(y, h, rtol)
    assert taken <= h and error(c, taken, rtol) <= 1
    E = max(1.0, 1.125 * error(c, h, rtol))  # the kernel takes an error up to an eighth too large
    assert taken >= h * E ** (-1 / 8 - 1 / 64) / HIGH * (1 - 1e-9) or taken == h  # 1e-9: coefficients in floating point
    assert taken < following <= 10 * taken  # a step grows tenfold at most
    assert np.abs(z - c @ taken ** np.arange(DEGREE + 1)).max() < 1e-13  # tens of roundings of order one


def test_a_step_too_long_is_shortened() -> None:
    """The test above compares something: at a tight tolerance the same proposal is cut, at a loose one taken whole."""
    y, h = [0.6, 0.9, 0.2], 0.3
    assert tried(y, h, 1e-11)[0] < h == tried(y, h, 1e-2)[0]
    assert error(solution(modes.field, y, Q)[0], h, 1e-11) > 1


def test_both_explicit_methods_agree() -> None:
    assert compiled.explicit(sized, 3, 6, True)[0] == "verner"
    rng, rtol = np.random.default_rng(0), 1e-9
    y, times = rng.uniform(0.1, 1.0, (3, 50)), np.linspace(0.0, 6.0, 5)
    marks = lambda p, w, v, a, c, k, b, e, f: (p - 0.5,)  # noqa: E731
    one, other = (
        integrate_many(f, y, Q, times=times, events=marks, stop=(False,), rtol=rtol, method="explicit")
        for f in (modes.field, sized)
    )
    assert one.ok.all() and np.abs(one.at - other.at).max() < 1e3 * rtol  # a local error amplified by the flow
    late = np.nan_to_num(one.event_times, nan=-1.0) - np.nan_to_num(other.event_times, nan=-1.0)
    assert np.abs(late).max() < 1e4 * rtol  # that error over p's speed, above 0.1


def test_starts_from_zero_and_poles() -> None:
    rest = integrate_many(lambda x, y, z: (y, z, 6.0), (0.0, 0.0, 0.0), (), 2.0, rtol=1e-10)
    assert rest.ok and np.allclose(rest.y, [8.0, 12.0, 12.0], rtol=1e-9)  # t³, 3 t², 6 t: 10 rtol
    fall = integrate_many(lambda x: (-1.0 / x,), ([1.0, 0.0, 2.0],), (), [0.6, 1.0, 1.0], rtol=1e-10)
    assert list(fall.status) == [lanes.TOO_SMALL, lanes.NOT_FINITE, lanes.DONE]
    assert np.isclose(fall.t[0], 0.5, rtol=1e-6) and np.isclose(fall.y[2, 0], math.sqrt(2.0), rtol=1e-9)  # √(x0² - 2 t)
