"""The laws of the rungs where a Run is given: slack on every rung, halved steps, later times, the worst entry."""

from __future__ import annotations

import numpy as np
import pytest
from toy_claims import R, given_run, horizon, measured, toy

from derivations.claim import RUNGS
from derivations.contrastive import POINTS
from dynamics.run import Array, Run
from dynamics.setting import Setting
from noncollapse import rungs
from noncollapse.rungs import FLOOR, ResidualError, can_ask, judge_run, make_run, read


def wide(setting: Setting) -> float:
    """Slack that lets 5 FLOOR pass, which FLOOR alone does not."""
    return 9 * FLOOR


@pytest.mark.parametrize("rung", RUNGS)
def test_slack_widens_the_tolerance_of_every_rung(monkeypatch: pytest.MonkeyPatch, rung: str) -> None:
    given_run(monkeypatch, lambda s, h: np.full(R, 5 * FLOOR))
    assert not measured(rung, R).ok, "5 FLOOR, at every step size and in every replica"
    reading = measured(rung, R, slack=wide)
    assert reading.ok
    assert reading.tolerance == pytest.approx(10 * FLOOR, rel=1e-12), "FLOOR + 9 FLOOR, rounded"


def test_slack_counts_where_given_runs_are_judged() -> None:
    run = Run(POINTS, "flow", np.zeros(1), {"x": np.full((1, 1), 5 * FLOOR)})
    without, with_slack = (toy(lambda run: run["x"], slack=slack) for slack in (None, wide))
    assert not judge_run(without, POINTS, [run]).ok, "5 FLOOR"
    assert judge_run(with_slack, POINTS, [run]).ok, "5 of 10 FLOOR"


@pytest.mark.parametrize("rung", RUNGS)
def test_an_imaginary_part_is_not_thrown_away(monkeypatch: pytest.MonkeyPatch, rung: str) -> None:
    given_run(monkeypatch, lambda s, h: np.zeros(R))
    with pytest.raises(ResidualError, match=f"^toy: the residual on {rung} is complex: give real numbers"):
        read(toy(lambda run: run["x"] + 5j), POINTS, rung, R)


def test_a_slack_below_0_is_refused() -> None:
    run = Run(POINTS, "flow", np.zeros(1), {"x": np.zeros((1, 1))})
    claim = toy(lambda run: run["x"], slack=lambda s: -1.0)
    for judged in (lambda: judge_run(claim, POINTS, [run]), lambda: read(claim, POINTS, "exact", 1)):
        with pytest.raises(ResidualError, match=r"^toy: its slack is -1 at .*: give a number >= 0$"):
            judged()


@pytest.mark.parametrize("rung", ["descent", "sgd"])
def test_each_halving_halves_the_step(rung: str) -> None:
    setting = Setting().replace(training__t_end=0.08, training__points=2, training__lr=0.04)
    steps = [make_run(setting, rung, 2, halvings).facts["lr"] for halvings in (0, 1, 2)]
    assert steps == pytest.approx([0.04, 0.02, 0.01], rel=1e-14), "t_end = 0.08 is a whole number of each"


def test_a_limit_that_passes_later_is_not_refuted_though_it_hardly_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, lambda s, h: FLOOR * (1.2 if horizon(s) == 1 else 0.9))
    assert measured("exact", slack=lambda s: 0.0).ok, "0.9 FLOOR passes, and is over half of 1.2"
    given_run(monkeypatch, lambda s, h: FLOOR * (1.2 if horizon(s) == 1 else 1.1))
    assert not measured("exact", slack=lambda s: 0.0).ok, "1.1 FLOOR does not"


def test_sgd_tells_its_worst_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(setting: Setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        noise: Array = np.random.default_rng(halvings).standard_normal((R, 1, 3))
        return Run(setting, rung, np.zeros(1), {"x": noise + np.array([0.0, 50.0, 0.0])})

    monkeypatch.setattr(rungs, "make_run", make)
    reading = measured("sgd", R)
    assert not reading.ok
    assert reading.residual == pytest.approx(50, abs=0.5), "the second entry, to 4 standard errors of 64 unit normals"
    assert reading.tolerance < 2, "4 SE = 0.7 of a difference of two means of 64, and a bias of at most as much"


def test_sgd_tells_the_entry_that_comes_nearest_to_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that is 0 without noise, as at t = 0, is nearest in size to its tolerance, and tells nothing of the margin."""

    def make(setting: Setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        noise: Array = np.random.default_rng(halvings).standard_normal((R, 1, 2))
        return Run(setting, rung, np.zeros(1), {"x": noise * [0.0, 1.0] + [0.0, 0.4]})

    monkeypatch.setattr(rungs, "make_run", make)
    reading = measured("sgd", R)
    assert reading.ok
    # an offset of 0.4, to 4 standard errors of 64 unit normals, beside 0.7: 4 SE of a difference of two such means
    assert reading.residual == pytest.approx(0.4, abs=0.5)
    assert reading.tolerance > 0.5, "not the FLOOR of the entry without noise"


def test_a_closed_form_is_asked_for_on_its_own_rung_only() -> None:
    """A generic predictor has none."""
    claim = toy(lambda run: run["W"])
    assert [can_ask(claim, Setting(), rung) for rung in ("exact", "flow")] == [False, True]
    alone = Setting().replace(objective__predictor="none")
    assert can_ask(claim, alone, "exact")
