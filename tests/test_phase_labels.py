"""Labels of a phase diagram: the roots on the parabola, basins off it, laws of the times, proven sets, bad input. Each with a
wrong theory that must fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics import modes, phase_sets, phases
from dynamics.basin import collapses
from dynamics.ensemble import FieldError, integrate_many
from dynamics.solver import integrate


def test_phases_on_the_parabola_are_the_roots() -> None:
    eta, p0 = np.linspace(0.004, 0.3, 60)[None, :], np.linspace(0.01, 1.2, 60)[:, None]
    out = phases.classify(p0, p0 / np.sqrt(2.0), a=1.25, alpha_p=2.0, eta=eta)
    p_minus = modes.fixed_points(1.25, 1.0, eta).p_minus
    expected = np.where(np.isnan(p_minus) | (p0 < p_minus), phases.COLLAPSE, phases.SURVIVAL)
    assert np.array_equal(out.end, expected)
    exact = phases.collapse_time(p0, 1.25, 1.0, eta)
    lost = (
        (out.end == phases.COLLAPSE) & (p_minus / 2 > 1e-3 / 1.25) & (p0 > 1e-3 / 1.25)
    )  # else the set is entered later
    assert lost.any() and np.isnan(exact[out.end == phases.SURVIVAL]).all()
    near = np.abs(p0 - p_minus) > 1e-2  # within a hundredth of the saddle errors grow past 10³ rtol
    assert (np.abs(out.time / exact - 1)[lost & near] < 1e3 * phases.RTOL).all()  # 10³ rtol
    assert (
        np.abs(out.time / phases.collapse_time(p0, 1.25, 1.0, 1.01 * eta) - 1)[lost & near] > 1e-3
    ).all()  # eta off by 1 %


def test_collapse_just_beyond_the_threshold_is_slow() -> None:
    """T √(eta/eta_c - 1) -> 4 π a/c²: a label read off at a finite time is wrong there."""
    a, c, ratio = 1.25, 0.9, np.array([1e-4, 1e-6])
    eta = c**2 / (4 * a) * (1 + ratio)
    out = phases.classify(0.9, 0.9, a=a, c=c, eta=eta)
    law = phases.bottleneck_time(a, c, eta)
    error = np.abs(out.time / law - 1)
    assert (out.end == phases.COLLAPSE).all()
    assert (error < 10 * np.sqrt(ratio)).all()  # what the bottleneck leaves out is O(1), against 1/√ratio
    assert error[1] < error[0] / 5  # ... so it falls tenfold; a wrong constant would stay
    assert np.isclose(out.time, phases.collapse_time(0.9, a, c, eta), rtol=1e-4).all()  # amplified by 1/√ratio


@given(st.floats(-0.6, 1.2), st.floats(0.01, 1.2), st.sampled_from((0.02, 0.1, 0.2, 0.3)), st.sampled_from((0.5, 3.0)))
@settings(max_examples=12)
def test_phases_off_the_parabola_agree_with_the_basin(p0: float, w0: float, h: float, alpha_p: float) -> None:
    a, c = 1.25, 0.8
    eta = h * c**2 / a
    out = phases.classify(p0, w0, a=a, c=c, alpha_p=alpha_p, eta=eta)
    assert (out.end == phases.COLLAPSE) == collapses(p0, w0, a, c, alpha_p, eta)


def test_the_parabolas_rule_is_wrong_off_it() -> None:
    """p0 < p- is the paper's rule for collapse; above the parabola such starts survive."""
    out = phases.classify(0.1, 1.0, a=1.25, eta=0.1)
    assert modes.fixed_points(1.25, 1.0, 0.1).p_minus > 0.1 and out.end == phases.SURVIVAL


def test_phases_without_decay_follow_from_the_conserved_quantity() -> None:
    p0 = np.array([0.2, -0.2, 0.2, -0.2, -0.5, 1.2, 2.0])
    w0 = np.array([0.5, 0.5, 0.2, 0.2, 0.1, 1.0, 0.5])  # D = w0² - p0²: above, above, on, on, below, below, far below
    out = phases.classify(p0, w0)
    assert list(out.end) == [1, 1, 1, 0, 0, 1, 0]
    late = integrate_many(
        phase_sets.online, (p0, w0), (0.0, 1e-3), 2e4, events=phase_sets.online_sets, stop=(False, False)
    )
    assert np.array_equal(late.y[:, 1] > 1e-2, out.end == 1)  # algebraic at the slowest: w(2e4) = 5e-5


def test_starts_beside_the_saddle_are_decided() -> None:
    """Starts beside the saddle, where the step grows until one overflows: over an infinite scale its error would be nothing."""
    p0 = np.array([0.26860610610610614, 0.3475225225225225, 0.37134634634634633])
    h = np.array([0.19628378378378375, 0.2269144144144144, 0.2332957957957958])
    out = phases.classify(p0, p0, eta=h)
    assert out.run.ok.all() and (out.end != phases.UNDECIDED).all()


def test_the_sets_lie_in_their_basins() -> None:
    """Their Lyapunov functions fall inside, at random points; the survival set made forty times as wide fails."""
    rng = np.random.default_rng(0)
    h, b = rng.uniform(0.02, 0.24, 4000), 10 ** rng.uniform(-1.5, 1.5, 4000)
    Q = np.array(phase_sets.survival_form(h, b))
    X = 0.5 + np.sqrt(0.25 - h)
    matrix = Q[[0, 1, 2, 1, 3, 4, 2, 4, 5]].T.reshape(-1, 3, 3)
    unit = rng.standard_normal((4000, 3))
    unit /= np.sqrt(np.einsum("ni,nij,nj->n", unit, matrix, unit))[:, None]

    def rise(radius: float):
        delta = radius * unit
        velocity = np.stack(phase_sets.ema(*(delta.T + X), h, b, 1e-3, *Q), axis=1)
        return 2 * np.einsum("ni,nij,nj->n", velocity, matrix, delta)

    assert all((rise(r) < 0).all() for r in (0.1, 0.5, 0.999))
    assert (rise(40.0) > 0).any()  # a set without the radius' bound is no basin
    small = rng.standard_normal((4000, 3))
    L = lambda s: s[:, 0] ** 2 + s[:, 1] ** 2 + h / b * s[:, 2] ** 2  # noqa: E731
    small *= (0.499 * h / np.sqrt(L(small)))[:, None]
    velocity = np.stack(phase_sets.ema(*small.T, h, b, 1e-3, *Q), axis=1)
    falls = small[:, 0] * velocity[:, 0] + small[:, 1] * velocity[:, 1] + h / b * small[:, 2] * velocity[:, 2]
    assert (falls < 0).all()


def test_phases_with_an_ema_target() -> None:
    """The boundary moves with the target's start, and the labels are those of a long plain integration."""
    p0, eta = np.linspace(0.05, 0.9, 12), 0.12
    out = {tau: phases.classify(p0, p0, a=1.25, eta=eta, beta=0.3, tau0=tau) for tau in (0.0, 1.0)}
    assert (out[0.0].end == phases.COLLAPSE).sum() > (out[1.0].end == phases.COLLAPSE).sum()
    for tau, found in out.items():
        for i in (0, 11):
            velocity = lambda _, y: np.stack(modes.field(*y.T, 1.25, 1.0, 1.0, 0.3, eta, eta), axis=1)  # noqa: E731
            last = integrate(velocity, np.array([[p0[i], p0[i], tau * p0[i]]]), np.array([0.0, 200.0])).y[-1, 0]
            assert (last[1] < 1e-6) == (found.end[i] == phases.COLLAPSE)  # e^{-eta 200} = 4e-11 after the decision
    with pytest.raises(FieldError, match="need weight decay"):
        phases.classify(p0, p0, eta=0.0, beta=0.3)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"a": 0.0}, "a must be positive"), ({"eta": -0.1}, "eta must not be"), ({"p0": np.nan}, "not finite"),
     ({"beta": 0.0}, "beta must be positive")],
)  # fmt: skip
def test_phases_refuse_bad_input(change: dict, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        phases.classify(**({"p0": 0.1, "w0": 0.1, "eta": 0.1} | change))
