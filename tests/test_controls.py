"""Controls: some witness is enough for a theory to fail, noise is many numbers, a correction is asked where it speaks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from toy_claims import EQUAL, HOLDS, TINY, VARY, alignment, toy

from derivations.assumption import Interval
from derivations.contrastive import unit_identity
from dynamics.run import Array, Run
from noncollapse import controls, rungs
from noncollapse.ladder import climb


def test_a_theory_that_is_right_at_some_witnesses_is_still_wrong() -> None:
    def right_at_three_points(run: Run) -> Array:
        return unit_identity(run) + (run.setting.get("views.n") != toy().base.get("views.n"))

    record = climb(toy(mutants={"right at n = 3": right_at_three_points}), TINY).record
    assert record["verdict"] == "supported"
    assert record["controls"][1]["residual"] == pytest.approx(1, abs=1e-12), (
        "of another n; 1e-12: the identity's rounding"
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_noise_breaks_a_bound_on_either_side(monkeypatch: pytest.MonkeyPatch, sign: int) -> None:
    """One noisy number would break one of the two only."""

    def make(setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        return Run(setting, rung, np.zeros(1), {"x": np.zeros((1, 1))})

    monkeypatch.setattr(controls, "make_run", make)
    claim = toy(lambda run: sign * run["x"], bound=True)
    (noise,) = controls.controls_of(claim, claim.rungs, [claim.base], None, TINY)
    assert noise.as_it_should


def test_controls_of_a_sequence_have_a_run_at_each_value() -> None:
    def rises(few: Run, many: Run) -> Array:
        """More negatives cost more: loss(K = 2) < loss(K = 4)."""
        return few["loss"] - many["loss"]

    claim = toy(
        rises, bound=True, along=("objective.negatives", (2, 4)), mutants={"falls": lambda few, many: rises(many, few)}
    )
    record = climb(claim, TINY).record
    assert record["verdict"] == "supported"
    assert [c["name"] for c in record["controls"]] == ["noise in place of the Run", "wrong theory: falls"]


@pytest.mark.parametrize(
    ("changes", "asked"),
    [({}, True), ({"states": (EQUAL,)}, False), ({"needs": (EQUAL,)}, False), ({"along": ("objective.negatives", (2, 4))}, False)],
)  # fmt: skip
def test_a_correction_is_asked_only_where_it_speaks(
    monkeypatch: pytest.MonkeyPatch, changes: dict, asked: bool
) -> None:
    right = toy(lambda run, *_: unit_identity(run), id="right", **changes)
    monkeypatch.setattr(controls, "CLAIMS", {"right": right})
    record = climb(toy(alignment, corrected_by="right", holds_at=HOLDS), TINY).record
    assert record["verdict"] == "refuted"
    names = [c["name"] for c in record["controls"]]
    assert ("the corrected claim right at the counterexample" in names) == asked, names


@pytest.mark.parametrize("seed", range(6))
def test_a_wrong_theory_is_asked_wherever_the_search_was(seed: int) -> None:
    """A wrong theory that only a few Settings tell from the right one is wrong whatever the seed: luck must not decide."""

    def wrong_at_few(run: Run) -> Array:
        return unit_identity(run) + (run.setting.seed == 5)  # one in sixteen

    claim = toy(vary={**VARY, "seed": tuple(range(16))}, mutants={"right but at seed 5": wrong_at_few})
    budget = dataclasses.replace(TINY, examples=100)
    assert climb(claim, budget, seed).record["verdict"] == "supported"


def test_a_theory_that_has_failed_is_asked_no_more() -> None:
    """The Settings beyond the witnesses are for what passes at all of these."""
    asked: list[int] = []

    def twice(run: Run) -> Array:
        asked.append(run.setting.seed)
        return unit_identity(run, 1.0)

    climb(toy(mutants={"without the half": twice}), TINY)
    assert len(asked) == controls.WITNESSES


def test_a_limit_still_on_its_way_shows_no_theory_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The residual falls like spread / t: it passes at once where the spread is 0, later elsewhere. Its own theory again, as a
    mutant, fails by the law of controls wherever the spread is not 0, and is no wrong theory for that."""

    def make(setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        rest = setting.get("views.spread") / setting.training.t_end
        return Run(setting, rung, np.zeros(1), {"x": np.full((1, 1), rest)})

    for module in (rungs, controls):
        monkeypatch.setattr(module, "make_run", make)

    def rest(run: Run) -> Array:
        return run["x"]

    claim = toy(rest, slack=lambda s: 1e-3, mutants={"the same again": rest})
    record = climb(claim, TINY).record
    assert [c["as_it_should"] for c in record["controls"]] == [True, False]
    assert record["verdict"] == "error"
    never = toy(rest, slack=lambda s: 1e-3, vary={**VARY, "views.spread": Interval(1.0, 2.0)})
    assert climb(never, TINY).record["controls"] == [], "nowhere is there yet a limit to tell a theory by"
