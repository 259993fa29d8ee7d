"""Settings at the ends of the range of numbers: right there, or refused in a sentence, never in silence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dynamics.linear_flow import LinearFlow
from dynamics.observe import normalised_commutator
from dynamics.setting import GaussianViews, ImageViews, Network, Objective, Setting, SettingError, Training
from dynamics.simulate import NoClosedForm, exact, flow
from dynamics.views import moments

INVARIANCE = Objective(loss="invariance")


@pytest.mark.parametrize("scale", [1e-200, 1e-100, 1.0, 1e100, 1e200])
def test_moments_commute_and_are_symmetric_whatever_their_scale(scale: float) -> None:
    """Norms and products of such moments are 0 or infinite, where all would commute."""
    views = GaussianViews((scale, 0.5 * scale), (0.1 * scale, 0.6 * scale))
    ways = (views, replace(views, angle=0.6), replace(views, twist=0.6))
    straight, turned, twisted = (moments(Setting(way)) for way in ways)
    assert straight.commute and not turned.commute and turned.symmetric and not twisted.symmetric


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1.0, 1e170, 1e300])
def test_a_normalised_commutator_has_no_scale(scale: float) -> None:
    """Of a fallen encoder it came out as NaN, which only an exact 0 is."""
    M, N = np.random.default_rng(0).standard_normal((2, 3, 2, 2))
    right = normalised_commutator(M, N)
    assert np.allclose(normalised_commutator(scale * M, N), right, rtol=1e-12, atol=0)  # rounding of the products
    assert np.allclose(normalised_commutator(M, scale * N), right, rtol=1e-12, atol=0)
    assert np.isnan(normalised_commutator(0 * M, N)).all()


def test_moments_that_overflow_are_refused() -> None:
    for views in (GaussianViews((1.7e308,), (1.7e308,)), GaussianViews((1.0, 1.0), (1.7e308, 1.0))):
        with pytest.raises(SettingError, match="the moments of these views overflow: give smaller"):
            moments(Setting(views))


@pytest.mark.parametrize("make", [flow, exact])
@pytest.mark.parametrize(
    "setting",
    [
        Setting(network=Network(w0=1e100), objective=INVARIANCE),
        Setting(network=Network(w0=1e30, tau0=1e30), objective=INVARIANCE),
        Setting(network=Network(start="balanced", w0=1e160), objective=INVARIANCE),
        Setting(GaussianViews((1e200,), (1.0,)), objective=INVARIANCE),
        Setting(training=Training(alpha_p=1e60), network=Network(start="parabola")),
    ],
)
def test_what_would_leave_the_range_of_numbers_is_refused(make, setting: Setting) -> None:
    """Some of these came out as NaN, some as warnings, some ended in an error of numpy's."""
    with pytest.raises(SettingError, match=r"must stay below 1e\+50 for their products: choose other units"):
        make(setting)


@pytest.mark.parametrize("make", [flow, exact])
def test_weights_whose_square_is_no_number_are_refused(make) -> None:
    with pytest.raises(
        SettingError, match=r"network.w0 is 1e-170, whose square is no number: give 0, or 1e-150 and more"
    ):
        make(Setting(network=Network(w0=1e-170), objective=INVARIANCE))


def test_a_growth_that_overflows_has_no_closed_form_of_infinities(tmp_path: Path) -> None:
    """x⁺ = 2 x: A - C = -A, and weights grow by e^t."""
    x = np.sqrt(2) * np.eye(2)
    np.savez(tmp_path / "pairs.npz", x=x, x_plus=2 * x)
    views = ImageViews(data=str(tmp_path / "pairs.npz"), augment="pairs", d=0)
    setting = Setting(views, objective=Objective(predictor="none"), training=Training(t_end=300.0))
    run = exact(setting)
    assert np.allclose(run["W"][0, -1], np.exp(300.0) * run["W"][0, 0], rtol=1e-12)  # rounding of the rate, 300 times
    with pytest.raises(SettingError, match="leaves the range of numbers: give smaller weights"):
        exact(setting.replace(training__t_end=800.0))


def test_a_rate_of_0_is_followed_for_ever_where_it_has_no_rounding_and_is_refused_where_it_shows() -> None:
    """S = 2 diag(0.3, 0), straight or turned: of the turned one the 0 is 1e-17, and e^{-1e-17 t} was taken for W's share."""
    for angle in (0.0, 0.5):
        setting = Setting(GaussianViews((1.0, 1.0), (0.3, 0.0), angle=angle), objective=INVARIANCE)
        for t_end in (1e3, 1e6):
            run = exact(setting.replace(training__t_end=t_end))
            kept = np.array([-np.sin(angle), np.cos(angle)])
            assert np.abs(run["W"][0, -1] - run["W"][0, 0] @ np.outer(kept, kept)).max() < 1e-7  # the exact rung's law
        late, m = setting.replace(training__t_end=1e17), moments(setting)
        if angle == 0.0:
            assert np.array_equal(exact(late)["W"][0, -1, :, 1], exact(late)["W"][0, 0, :, 1])
            continue
        with pytest.raises(NoClosedForm, match=r"by t = 1e\+17 the rounding of the slowest rates shows"):
            exact(late)
        with pytest.raises(ValueError, match="the rounding of the slowest rates shows: give earlier times"):
            LinearFlow.of(np.eye(2), m.S, np.array([0.0, 1e17]))
