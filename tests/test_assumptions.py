"""Assumptions that claims share, each with a Setting that it admits and one, changed in one place, that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from derivations import assumptions_tian as tian
from derivations import byol_balance, byol_conditions, byol_limits, byol_turning, common, invariance
from derivations.assumption import Assumption, Interval, Spectrum, meet
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training

PLAIN = Setting(
    GaussianViews((1.0, 1.0), (0.25, 0.25)), Network(k=2, start="parabola", p0=0.5), Objective(), Training(eta=0.0)
)
BREAKS: tuple[tuple[Assumption, dict[str, Any]], ...] = (
    (common.NO_DECAY, {"training__eta": 1e-6}),
    (common.EQUAL_DECAY, {"training__eta_p": 0.1}),
    (common.EQUAL_RATES, {"training__alpha_p": 2.0}),
    (common.ONLINE, {"objective__target": "ema"}),
    (common.EXCHANGEABLE, {"views__anchor": True}),
    (common.EXCHANGEABLE, {"views__twist": 0.1}),
    (common.NOISY, {"views__noise": (0.25, 0.0)}),
    (common.FULL_C, {"views__signal": (1.0, 0.0)}),
    (common.COMMUTE, {"views__angle": 0.1}),
    (common.COMMUTE, {"views__twist": 0.1}),
    (common.POSITIVE_C, {"views__signal": (1.0, 0.0)}),  # semidefinite only
    (common.POSITIVE_C, {"views__twist": 1.6}),  # beyond a right angle
    (common.NONNEGATIVE_C, {"views__twist": 1.6}),
    (common.NONNEGATIVE_C, {"views__signal": (1.0, 0.0), "views__noise": (0.25, 0.0)}),  # an empty direction
    (tian.STOP_GRADIENT, {"objective__stop_gradient": False}),
    (tian.ISOTROPIC, {"views__signal": (1.0, 0.5)}),
    (tian.ISOTROPIC, {"views__noise": (0.25, 0.5)}),
    (tian.ISOTROPIC, {"views__anchor": True}),
    (tian.ALIGNED, {"network__start": "symmetric"}),
    (tian.FREE, {"objective__predictor": "symmetric"}),
    (tian.PARABOLA, {"network__start": "aligned"}),
    (tian.CONTRACTING, {"views__noise": (0.25, 0.0)}),
    (invariance.LINEAR, {"network__kind": "mlp"}),
    (byol_conditions.UNPREDICTABLE, {"views__noise": (0.25, 0.0)}),
    (byol_conditions.UNPREDICTABLE, {"views__noise": (0.0, 0.0), "views__twist": 0.9}),  # S is positive definite
    (byol_balance.ALIGNED, {"network__start": "aligned", "network__p0": -0.5}),
    (byol_balance.ALIGNED, {"network__start": "generic"}),
    (byol_limits.SQUARE, {"network__k": 1}),
    (byol_limits.PARABOLA, {"network__start": "aligned"}),
    (byol_limits.SYMMETRIC_C, {"views__twist": 0.1}),
    (byol_turning.ONE_OUTPUT, {}),
    (byol_turning.TURNED, {}),
)


@pytest.mark.parametrize(("assumption", "change"), BREAKS, ids=lambda x: x.name if isinstance(x, Assumption) else None)
def test_an_assumption_keeps_out_what_it_names(assumption: Assumption, change: dict[str, Any]) -> None:
    assert assumption.holds(PLAIN) == bool(change)
    assert not assumption.holds(PLAIN.replace(**change))


def test_what_just_satisfies_an_assumption_is_admitted() -> None:
    decayed = PLAIN.replace(views__noise=(0.25, 0.0), training__eta=0.25)
    assert tian.CONTRACTING.holds(decayed), "decay moves the direction that the augmentation leaves"
    assert common.NONNEGATIVE_C.holds(PLAIN.replace(views__signal=(1.0, 0.0))), "semidefinite"
    turned = PLAIN.replace(network__k=1, views__twist=0.5)
    assert byol_turning.ONE_OUTPUT.holds(turned) and byol_turning.TURNED.holds(turned)


def test_domains_meet_in_what_both_allow() -> None:
    assert meet(Interval(0.0, 2.0, 5), Interval(1.0, 3.0, 7)) == Interval(1.0, 2.0, 7)
    assert meet(Interval(0.0, 1.0), Interval(2.0, 3.0)) is None
    assert meet(Spectrum(0.0, 2.0), Spectrum(1.0, 3.0, equal=True)) == Spectrum(1.0, 2.0, equal=True)
    assert meet(Spectrum(0.0, 2.0, falling=True), Spectrum(1.0, 3.0)) == Spectrum(1.0, 2.0, falling=True)
    assert meet(Spectrum(0.0, 1.0), Spectrum(2.0, 3.0)) is None
    assert meet((0.5, 1.5), Interval(1.0, 2.0)) == meet(Interval(1.0, 2.0), (0.5, 1.5)) == (1.5,)
    with pytest.raises(TypeError, match="use two Intervals, two Spectra, or a tuple of choices"):
        meet(Interval(0.0, 1.0), Spectrum(0.0, 1.0))


def test_a_spectrum_holds_every_eigenvalue_to_its_ends_and_all_to_one_where_equal() -> None:
    assert (0.0, 1.0) in Spectrum(0.0, 1.0) and (0.0, 1.1) not in Spectrum(0.0, 1.0)
    assert (0.5, 0.5) in Spectrum(0.0, 1.0, equal=True) and (0.5, 0.6) not in Spectrum(0.0, 1.0, equal=True)
    assert (2.0, 2.0) not in Spectrum(0.0, 1.0, equal=True) and (-0.1,) not in Spectrum(0.0, 1.0)
    assert 1.0 in Interval(0.0, 1.0) and 1.1 not in Interval(0.0, 1.0) and None not in Interval(0.0, 1.0)
