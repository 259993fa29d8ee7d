"""One mode's closed forms against mpmath and the plain solver, and the basin of collapse in its plane."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from dynamics import modes, phases
from dynamics.basin import collapses, separatrix
from dynamics.setting import Network, Setting
from dynamics.simulate import exact
from dynamics.solver import integrate

A, C = 1.25, 0.8  # goal c/a = 0.64, threshold c²/4a = 0.128


def by_lambert(p0: float, t: float) -> float:
    """p(t) for eta = 0 from p0 > 0 to 60 digits: u = W(±exp(·)) on the principal branch."""
    with mpmath.workdps(60):
        u0 = mpmath.mpf(C) / (mpmath.mpf(A) * mpmath.mpf(p0)) - 1
        u = mpmath.lambertw(mpmath.sign(u0) * mpmath.exp(mpmath.log(abs(u0)) + u0 - mpmath.mpf(C) ** 2 / A * t))
        return float(C / (A * (1 + mpmath.re(u))))


@pytest.mark.parametrize("p0", [1e-6, 0.3, 0.6399, 0.6401, 1.0, 5.0, 100.0, 1e4, 1e6, 1e12])
def test_parabola_solution_keeps_its_digits(p0: float) -> None:
    t = np.array([0.0, 1e-9, 1e-3, 1.0, 30.0])
    true = np.array([by_lambert(p0, float(when)) for when in t])
    assert (np.abs(modes.parabola_solution(p0, A, C, t) / true - 1) < 1e-12).all()  # near c/a, ln|u0| loses 4 digits


@pytest.mark.parametrize(
    ("p0", "a", "c"), [(1.0, 1.25, 1e-160), (1.0, 1e200, 1e100), (1e100, 1e-50, 1e-220), (1e-3, 1e-200, 1e-200)]
)
def test_parabola_solution_squares_nothing_that_is_small(p0: float, a: float, c: float) -> None:
    """Where c² or (c/(a p0))² underflows: from far above p' = -a p³, and p = 1/√(1/p0² + 2 a t); from below c = a = 1 rescaled."""
    t = np.array([0.0, 0.1, 3.0]) / (a * p0 * p0)
    expected = p0 / np.sqrt([1.0, 1.2, 7.0])  # up to c/(a p), at most 1e-99
    if a == c:
        t = np.array([0.0, 3.0, 1e3]) / c
        expected = modes.parabola_solution(p0, 1.0, 1.0, c * t)
    assert np.allclose(modes.parabola_solution(p0, a, c, t), expected, rtol=1e-12, atol=0)  # as above


def test_parabola_solution_is_refused_where_its_numbers_leave_their_range() -> None:
    for p0, a, c in ((1e-200, 1.0, 1e200), (1.0, 1e-200, 1e200), (1e200, 1e200, 1e-200)):
        with pytest.raises(ValueError, match="are numbers: integrate other starts"):
            modes.parabola_solution(p0, a, c, np.array([0.0, 1.0]))


def test_parabola_solution_at_rest_and_where_it_is_not_known() -> None:
    p = modes.parabola_solution(np.array([0.0, C / A, 1e200]), A, C, np.array([0.0, 5.0]))
    assert np.allclose(p[:, :2], [0.0, C / A], rtol=1e-15, atol=0)  # fixed points: rounding only
    assert p[0, 2] == pytest.approx(1e200) and p[1, 2] == pytest.approx(by_lambert(1e12, 5.0), rel=1e-9)  # forgets p0
    for p0, a, c in ((-0.5, A, C), (np.nan, A, C), (0.5, A, -C), (0.5, 0.0, C)):
        with pytest.raises(ValueError, match="p0 >= 0"):
            modes.parabola_solution(p0, a, c, np.array([0.0, 1.0]))
    still = exact(Setting(network=Network(start="parabola", w0=0.0)))  # RuntimeWarning is an error here
    assert (still["P"] == 0).all() and (still["W"] == 0).all()


def by_quadrature(p: float, p0: float, eta: float) -> float:
    with mpmath.workdps(40):
        a, c, eta_ = mpmath.mpf(A), mpmath.mpf(C), mpmath.mpf(eta)
        rate = lambda x: 1 / (x * x * (c - a * x) - eta_ * x)  # noqa: E731
        parts = [mpmath.mpf(p0), *np.geomspace(p0, p, 40)[1:-1], mpmath.mpf(p)]
        return float(mpmath.re(mpmath.quad(rate, parts)))


AT = C**2 / (4 * A)  # the threshold, where the fixed points meet


RATES = (0.05, 0.127, AT * (1 - 1e-13), AT, AT * (1 + 1e-13), 0.13, 0.4)
PASSAGES = (
    [(0.2, 1e-3, eta) for eta in RATES[1:]]
    + [(0.9, 0.4, eta) for eta in RATES[2:]]
    + [(0.4, 0.5, 0.05), (0.33, 0.3, 0.4)]
)


@pytest.mark.parametrize(("p0", "p", "eta"), PASSAGES)
def test_parabola_time_is_the_integral_of_the_field(p0: float, p: float, eta: float) -> None:
    assert modes.parabola_time(p, p0, A, C, eta) == pytest.approx(
        by_quadrature(p, p0, eta), rel=1e-10
    )  # 4 digits cancel


def test_collapse_time_where_the_fixed_points_meet() -> None:
    """From below the double root every start collapses, from above none."""
    times = phases.collapse_time(np.array([0.31, 0.33]), A, C, AT)
    assert times[0] == pytest.approx(by_quadrature(1e-3 * C / A, 0.31, AT), rel=1e-10) and np.isnan(times[1])


def test_parabola_time_inverts_the_flow() -> None:
    a, c, eta = 1.25, 1.0, 0.1
    solution = integrate(
        lambda _, y: np.asarray(modes.parabola_field(y, a, c, eta)), np.array([[0.5]]), np.array([0.0, 3.0])
    )
    p = solution.y[-1, 0, 0]
    assert (
        abs(modes.parabola_time(p, 0.5, a, c, eta) - 3.0) < 1e-6
    )  # 10³ rtol; dp/dt ~ 0.1 turns an error in p into 10 in t


def test_the_basin_is_bounded_by_the_saddle_on_the_parabola_and_by_a_curve_off_it() -> None:
    a, c, alpha_p, eta = 1.25, 1.0, 1.0, 0.1
    saddle = float(modes.fixed_points(a, c, eta).p_minus)
    assert collapses(0.98 * saddle, 0.98 * saddle, a, c, alpha_p, eta)
    assert not collapses(1.02 * saddle, 1.02 * saddle, a, c, alpha_p, eta)
    assert not collapses(0.5 * saddle, 0.8, a, c, alpha_p, eta)  # off the parabola p < p- may escape
    line = separatrix(a, alpha_p, eta, -0.5, 1.5)
    p, s = line[len(line) // 2 + 40]
    assert collapses(p, 0.97 * np.sqrt(s), a, c, alpha_p, eta) != collapses(p, 1.03 * np.sqrt(s), a, c, alpha_p, eta)
    assert collapses(0.9, 0.9, a, c, alpha_p, 0.3)  # beyond c²/4a = 0.2 only collapse is left
    with pytest.raises(ValueError, match="eta > 0"):
        collapses(0.5, 0.5, a, c, alpha_p, 0.0)


def test_without_decay_the_basin_is_bounded_by_two_curves_of_the_kept_offset() -> None:
    alpha_p = 2.0
    line = separatrix(A, alpha_p, 0.0, -0.5, 1.5)
    left, right = line[line[:, 0] < 0], line[line[:, 0] > 1 / A]
    for p, s in (left[0], left[-1], right[0], right[-1]):
        labels = phases.classify(p, np.sqrt(s) * np.array([0.97, 1.03]), a=A, alpha_p=alpha_p, eta=0.0)
        assert list(labels.end) == [phases.COLLAPSE, phases.SURVIVAL]
    assert (line[~np.isnan(line[:, 0])][[0, -1], 0] == (-0.5, 1.5)).all()  # the frame asked for


@pytest.mark.parametrize(("eta", "alpha_p"), [(2e-3, 1.0), (0.01, 4.0)])
def test_the_basin_where_weights_all_but_vanish_and_grow_again(eta: float, alpha_p: float) -> None:
    """Under weak decay w falls by e^{-(p-1)²/2 eta} from beyond p = 1; from beyond about 2 it does not come back."""
    line = separatrix(1.0, alpha_p, eta, -0.5, 1.5)
    p, s = max(point for point in line.tolist() if point[1] * alpha_p < 1.0)
    assert p > 1.8 and collapses(3.0, 0.1, 1.0, 1.0, alpha_p, eta)
    labels = phases.classify(p * np.array([0.99, 1.01]), np.sqrt(s), alpha_p=alpha_p, eta=eta)
    assert list(labels.end) == [phases.SURVIVAL, phases.COLLAPSE]  # the line is where the labels change
    ends = [collapses(f * p, np.sqrt(s), 1.0, 1.0, alpha_p, eta) for f in (0.99, 1.01)]
    assert ends == [False, True]
    assert np.ptp(line[:, 0]) > 2.0 and line[:, 0].min() < -0.5  # the frame asked for
    assert np.isfinite(separatrix(1.0, alpha_p, 1e-9 * eta, -0.5, 1.5)).all()  # from a saddle within 1e-11 of 0


@pytest.mark.parametrize(("eta", "alpha_p"), [(0.25 - 3e-8, 1.0), (0.25 - 1e-5, 1.0), (0.1, 1e4), (1e-5, 1.0)])
def test_the_basin_is_told_from_both_sides_of_the_saddle(eta: float, alpha_p: float) -> None:
    """Also where p- lies within a thousandth of p+, or of 0."""
    roots = modes.fixed_points(1.0, 1.0, eta)
    saddle, rest = float(roots.p_minus), float(roots.p_plus)
    step = 0.5 * min(saddle, rest - saddle)
    for p, end in ((saddle - step, True), (saddle + step, False)):
        assert collapses(p, p / np.sqrt(alpha_p), 1.0, 1.0, alpha_p, eta) == end
