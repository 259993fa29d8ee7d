"""Weights that fall below any absolute tolerance and grow again: followed rightly, or refused, never wrong in silence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dynamics import dips
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.simulate import flow, flow_batch
from dynamics.solver import SolverError
from dynamics.stacked import Stacked
from dynamics.start import start

PERFECT = GaussianViews((1.0,), (0.0,))  # a = c = 1
CLOSE = 1e-5  # of w: 10³ rtol, times 100 for the exponents up to 600 by which it falls and grows


def mode(p0: float, eta: float, t_end: float, seed: int = 0) -> Setting:
    network, training = Network(k=1, start="aligned", w0=1.0, p0=p0), Training(t_end=t_end, eta=eta, points=5)
    return Setting(PERFECT, network, training=training, seed=seed)


def by_logarithm(setting: Setting, times) -> np.ndarray:
    """log |w| of one mode with a = c = 1: p' = e^{2u} (1 - p) - eta p, u' = p (1 - p) - eta."""
    (W, P, _), eta = start(setting), setting.training.eta
    field = lambda _, y: [np.exp(2 * y[1]) * (1 - y[0]) - eta * y[0], y[0] * (1 - y[0]) - eta]  # noqa: E731
    y0 = [P[0, 0], np.log(abs(W[0, 0]))]
    return solve_ivp(field, (0, times[-1]), y0, "LSODA", times, rtol=1e-12, atol=1e-12).y[1]


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize(
    ("p0", "eta", "t_end"),
    [(2.2, 0.01, 199.0), (2.2, 0.01, 3e3), (2.5, 0.01, 3e3), (3.0, 0.02, 199.0), (2.05, 0.003, 3e3), (2.5, 0.003, 3e3)],
)
def test_one_mode_is_the_flow_by_its_logarithm(p0: float, eta: float, t_end: float, timed: bool) -> None:
    """From 2.5 on it collapses, where noise may grow to ±0.99 in its place; at 2.2 it survives, later by some than with noise."""
    setting = mode(p0, eta, t_end)
    run = flow(setting, timed)
    expected, w = by_logarithm(setting, run.t), run["W"][0, :, 0, 0]
    if p0 >= 2.5 and "dip" not in run.facts:  # the noise did not grow, and is all that is left
        assert np.abs(w - np.sign(w[0]) * np.exp(expected)).max() < dips.LAW
        return
    assert "dip" in run.facts and (np.sign(w) == np.sign(w[0])).all()
    alive = expected > np.log(1e-140)
    assert np.abs(np.log(np.abs(w[alive])) - expected[alive]).max() < CLOSE and (np.abs(w[~alive]) < 1e-139).all()


def test_members_of_a_batch_are_followed_and_only_those_that_dip() -> None:
    settings = [*(mode(2.2, 0.01, 199.0, seed) for seed in (0, 2, 4)), mode(2.2, 0.3, 199.0), mode(1.5, 0.02, 199.0)]
    runs = flow_batch(settings)
    for setting, run in zip(settings[:3], runs, strict=False):
        log_w = np.log(np.abs(run["W"][0, :, 0, 0]))
        assert "dip" in run.facts and np.abs(log_w - by_logarithm(setting, run.t)).max() < CLOSE
    assert all("dip" not in run.facts for run in runs[3:])


def test_looks_are_as_dense_for_the_first_end_as_for_the_last() -> None:
    ends = [3.0, 100.0, 0.0, 7.0, 3.0]
    looks = np.unique(dips.looks(ends))
    assert looks[0] == 0 and looks[-1] == pytest.approx(100)  # up to geomspace's rounding
    for end in filter(
        None, ends
    ):  # a bottom lies somewhere before its end: seen to a hundredth of the exponent by steps of end/63
        assert np.diff(looks[looks < 1.001 * end]).max() < 1.001 * end / (dips.LOOKS - 1)  # 1.001: rounding of the ends
    assert len(looks) < dips.LOOKS * (2 + np.log(100 / 3))  # and not 64 for every member
    assert np.array_equal(np.unique(dips.looks([5.0])), np.linspace(0, 5, dips.LOOKS))
    assert not dips.looks([0.0]).any()


def test_a_member_without_predictor_weights_sits_beside_others() -> None:
    still = mode(2.2, 0.01, 199.0).replace(network__p0=0.0, network__w0=0.0)
    runs = flow_batch([still, mode(2.2, 0.01, 199.0)])
    assert not runs[0]["W"].any() and "dip" in runs[1].facts


def two(noise: float, angle: float, p0: float) -> Setting:
    views, network = GaussianViews((1.0, 1.0), (0.0, noise), angle=angle), Network(start="aligned", w0=0.3, p0=p0)
    return Setting(views, network, training=Training(t_end=1500.0, eta=0.004, points=3))


def test_a_dip_beside_a_large_weight_is_followed_where_they_have_entries_of_their_own() -> None:
    """To 1e-30 beside 1: turned, both are sums of the same entries, of which rounding leaves no such part."""
    run = flow(two(0.5, 0.0, 1.1))
    assert "dip" in run.facts and np.linalg.svd(run["W"][0, -1], compute_uv=False)[1] == pytest.approx(0.6626, abs=1e-4)
    with pytest.raises(SolverError, match="grows again, and its digits are lost to rounding: give more weight decay"):
        flow(two(0.5, 0.5, 1.1))


def test_what_is_left_for_dead_is_no_dip() -> None:
    """A mode that collapses for good beside one that lives: below 1e-100, or rounding that comes and goes."""
    for angle in (0.0, 0.5):
        setting = Setting(GaussianViews((1.0, 1.0), (0.0, 1.0), angle=angle), Network(w0=0.8, p0=0.6))
        run = flow(setting.replace(training__t_end=900.0, training__eta=0.004, training__points=4))
        low = np.linalg.svd(run["W"][0, 1:], compute_uv=False)
        assert "dip" not in run.facts and (low[:, 1] < 1e-15).all() and (low[:, 0] > 0.9).all()


def test_only_where_weights_may_grow_enough_is_anything_looked_at() -> None:
    """2 g/eta_p = c²/2a eta: from 16 on, e^16 = 1e7 = 10³ rtol / atol."""

    def exponent(setting: Setting) -> float:
        return dips.growth(Stacked.of([setting]), 0, setting)

    assert exponent(mode(2.2, 0.01, 1e3)) == pytest.approx(50.0)
    assert exponent(mode(2.2, 0.01, 100.0)) == pytest.approx(25.0)  # at a rate of c²/4a
    for other in (mode(2.2, 0.04, 1e3), mode(2.2, 0.0, 1e3), mode(2.2, 0.01, 50.0)):
        assert exponent(other) == 0.0
    for objective in (Objective("invariance"), Objective(predictor="none"), Objective(stop_gradient=False)):
        assert exponent(Setting(PERFECT, Network(k=1), objective, Training(t_end=1e3, eta=0.01))) == 0.0
