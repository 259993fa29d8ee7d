"""A single Setting through the fast matrix flows: the same Run as the plain solver's, and what it says of the method."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from matrix_cases import GLOBAL, distance

from dynamics import matrix_setting
from dynamics.matrix_setting import FAST_FROM, LONG, MANY
from dynamics.run import Run
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.simulate import EVENTS, flow, flow_batch


def setting(d: int = FAST_FROM, k: int = 3, seed: int = 1, twist: float = 0.2, **objective) -> Setting:
    views = GaussianViews(tuple(np.linspace(1.5, 0.3, d)), tuple(np.linspace(0.1, 0.4, d)), angle=0.3, twist=twist)
    training = Training(t_end=30.0, eta=0.9, alpha_p=2.0, beta=0.5)  # a decay that makes it collapse
    return Setting(views, Network(k, w0=0.5), Objective(**objective), training, seed)


def plain(settings: list[Setting], timed: bool = True) -> list[Run]:
    """The same Settings by `dynamics.solver`."""
    with patch.object(matrix_setting, "covers", lambda *_: False):
        return flow_batch(settings, timed)


@pytest.mark.parametrize("predictor", ["linear", "symmetric", "none"])
@pytest.mark.parametrize("target", ["online", "ema"])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_fast_run_is_the_plain_run(predictor: str, target: str, stop_gradient: bool) -> None:
    s = setting(predictor=predictor, target=target, stop_gradient=stop_gradient)
    fast, slow = flow(s), plain([s])[0]
    assert "spectral_radius" in fast.facts and "spectral_radius" not in slow.facts
    assert fast.obs.keys() == slow.obs.keys() and fast.facts.keys() >= slow.facts.keys()
    for name, X in slow.obs.items():
        assert fast[name].shape == X.shape
        assert (
            distance(fast[name], X) < GLOBAL
        )  # two integrations, each at rtol; velocities amplify by norms of order one
    for name in EVENTS:
        a, b = fast.facts[name], slow.facts[name]
        assert (a is None) == (b is None)
        assert (
            a is None or abs(a - b) < 1e-6
        )  # t: an error of GLOBAL relative to ‖W‖ = 0.01 of its start, at a rate >= 0.1
    assert fast.facts["collapse_time"] is not None  # so that the comparison above is one


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_long_flow_of_few_inputs_takes_it_too(d: int) -> None:
    s = replace(setting(d=d, k=2), training=Training(t_end=LONG, eta=0.05))
    fast, slow = flow(s), plain([s])[0]
    assert "spectral_radius" in fast.facts and "spectral_radius" not in slow.facts
    assert max(distance(fast[name], X) for name, X in slow.obs.items()) < GLOBAL  # as above
    assert "spectral_radius" not in flow(replace(s, training=Training(t_end=LONG / 2, eta=0.05))).facts


def test_growth_is_timed_too() -> None:
    s = replace(setting(twist=0.0), training=Training(t_end=20.0), network=Network(3, w0=0.2, p0=0.9))
    fast, slow = flow(s).facts, plain([s])[0].facts
    assert fast["escape_time"] == pytest.approx(slow["escape_time"], abs=1e-6)  # as above
    assert flow(s, timed=False).facts.keys().isdisjoint(EVENTS)


@pytest.mark.parametrize("objective", [{"predictor": "optimal"}, {"loss": "invariance"}])
def test_flows_it_does_not_know_keep_the_plain_path(objective: dict) -> None:
    assert "spectral_radius" not in flow(setting(**objective)).facts
    assert "spectral_radius" not in flow(setting(d=FAST_FROM - 1)).facts


def test_the_run_says_how_it_was_stepped() -> None:
    mild = flow(setting())
    assert mild.facts["method"] == "DOP853" and mild.facts["spectral_radius"] > 0
    assert "error, not stability" in mild.facts["chosen_because"]
    s = setting(k=8)
    stiff = flow(replace(s, training=replace(s.training, alpha_p=300.0, eta=0.0, t_end=40.0)))
    assert stiff.facts["method"] == "DOP853 then RKL4"
    assert f"{stiff.facts['spectral_radius']:.3g}" in stiff.facts["chosen_because"]
    assert (
        "stability" in stiff.facts["chosen_because"]
        and stiff.facts["spectral_radius"] > 10 * mild.facts["spectral_radius"]
    )


@pytest.mark.parametrize("predictor", ["linear", "symmetric", "none"])
@pytest.mark.parametrize("target", ["online", "ema"])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_a_fast_batch_is_the_plain_batch(predictor: str, target: str, stop_gradient: bool) -> None:
    """Members of other views, rates and starts, one of them stiff, so that it leaves the others' lanes."""
    s = setting(predictor=predictor, target=target, stop_gradient=stop_gradient)
    settings = [
        s.replace(
            seed=i, training__eta=0.1 + 0.2 * i, training__alpha_p=rate, training__beta=0.5 + i, views__twist=0.1 * i
        )
        for i, rate in enumerate((2.0, 1.0, 400.0, 0.5))
    ]
    fast, slow = flow_batch(settings), plain(settings)
    for a, b in zip(fast, slow, strict=True):
        assert "spectral_radius" in a.facts and "spectral_radius" not in b.facts and a.setting == b.setting
        assert max(distance(a[name], X) for name, X in b.obs.items() if name != "dP") < GLOBAL  # as above
        for name in EVENTS:
            assert (a.facts[name] is None) == (b.facts[name] is None)
            assert a.facts[name] is None or abs(a.facts[name] - b.facts[name]) < 1e-6  # as above
    assert sum(run.facts["collapse_time"] is not None for run in fast) >= 2
    assert len({run.facts["evaluations"] for run in fast}) > 1  # facts are a member's own


def test_many_small_members_take_it_and_few_do_not() -> None:
    s = setting(d=1, k=1).replace(training__t_end=1.0, training__points=2)
    assert "spectral_radius" in flow_batch([s] * MANY)[-1].facts
    assert "spectral_radius" not in flow_batch([s] * (MANY - 1))[-1].facts


def test_no_times_are_in_a_batch_that_did_not_ask() -> None:
    fast = flow_batch([setting(), setting(seed=2)], timed=False)
    assert all(run.facts.keys().isdisjoint(EVENTS) for run in fast)
