"""What the ladder puts on record: the worst Setting of each rung, needs beside what is stated, rungs that disagree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp
from toy_claims import EQUAL, HOLDS, PROVED, TINY, VARY, alignment, toy

from derivations.assumption import Assumption
from derivations.claim import Claim
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import Setting
from noncollapse import controls, ladder, rungs
from noncollapse.ladder import climb
from noncollapse.rungs import FLOOR, Reading, read


def spread(setting: Setting) -> float:
    return setting.get("views.spread")


def given(monkeypatch: pytest.MonkeyPatch, x: Callable[[Setting, str], float]) -> None:
    """Every Run has obs x (1, 1) = x(setting, rung)."""

    def make(setting: Setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        return Run(setting, rung, np.zeros(1), {"x": np.full((1, 1), float(x(setting, rung)))})

    for module in (rungs, controls):
        monkeypatch.setattr(module, "make_run", make)


def of_given(*ladder: str, **changes) -> Claim:
    """A claim whose residual is that x; it holds where the views are equal."""
    return toy(lambda run: run["x"], holds_at=HOLDS, rungs=ladder, **changes)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Setting, str]]:
    """The Settings and rungs that the ladder reads, in its order."""
    asked: list[tuple[Setting, str]] = []

    def reading(claim: Claim, setting: Setting, rung: str, replicas: int) -> Reading:
        asked.append((setting, rung))
        return read(claim, setting, rung, replicas)

    monkeypatch.setattr(ladder, "read", reading)
    return asked


def test_evidence_is_that_of_the_worst_setting_of_each_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, lambda s, rung: 0.1 * FLOOR * spread(s))  # at most 0.2 FLOOR: it always passes
    asked = watched(monkeypatch)
    record = climb(of_given("exact", "flow"), dataclasses.replace(TINY, confirm=4)).record
    for evidence in record["evidence"]:
        tried = {s for s, rung in asked if rung == evidence["rung"]}
        spreads = [spread(s) for s in tried]
        assert max(spreads) > min(spreads), "there is a worst"
        assert evidence["residual"] == 0.1 * FLOOR * max(spreads)
        assert evidence["setting"]["views"]["spread"] == max(spreads)
        assert evidence["settings"] == len(tried)
    assert record["evidence"][1]["settings"] == 4, "the budget's `confirm`"


def test_needs_come_on_top_of_what_is_stated() -> None:
    two = Assumption("two-points", "n = 2", {"views.n": (2,)})

    def holds_for_two_equal(run: Run) -> Array:
        return alignment(run) + (run.setting.get("views.n") > 2)

    claim = toy(holds_for_two_equal, needs=(EQUAL,), holds_at=HOLDS.replace(views__n=2))
    assert climb(dataclasses.replace(claim, states=(two,)), TINY).record["verdict"] == "conditional"
    assert climb(claim, TINY).record["verdict"] == "refuted", "equal views alone do not do"


def test_needs_that_a_dearer_rung_refutes_witness_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, lambda s, rung: spread(s) + (rung == "flow"))
    record = climb(of_given("exact", "flow", needs=(EQUAL,)), TINY).record
    assert record["verdict"] == "refuted"
    assert {(e["under"], e["rung"], e["ok"]) for e in record["evidence"]} == {
        ("stated", "exact", False), ("needed", "exact", True), ("needed", "flow", False)
    }  # fmt: skip
    assert [c["name"] for c in record["controls"]] == ["a Setting outside its domain where it holds"], "and no noise"


@pytest.mark.parametrize("failing", ["flow", "descent"])
def test_a_cheaper_rung_that_passes_contradicts_nothing(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    order = ("exact", "flow", "descent")
    given(monkeypatch, lambda s, rung: spread(s) if order.index(rung) >= order.index(failing) else 0.0)
    record = climb(of_given(*order), TINY).record
    assert record["verdict"] == "refuted"
    assert record["counterexample"]["rung"] == failing
    assert [c["fails"] for c in record["counterexample"]["confirmed"]] == [r >= order.index(failing) for r in range(3)]
    assert not any(c["contradicts"] for c in record["counterexample"]["confirmed"])


@pytest.mark.parametrize(("size", "verdict"), [(1.5, "refuted"), (2.5, "error")])
def test_a_rung_contradicts_only_what_is_twice_its_tolerance(
    monkeypatch: pytest.MonkeyPatch, size: float, verdict: str
) -> None:
    given(monkeypatch, lambda s, rung: size * FLOOR * (spread(s) > 0) if rung == "exact" else 0.0)
    assert climb(of_given("exact", "flow"), TINY).record["verdict"] == verdict, "the flow's tolerance is 1 FLOOR"


@pytest.mark.parametrize("rung", ["exact", "flow"])
def test_another_seed_tries_other_settings(monkeypatch: pytest.MonkeyPatch, rung: str) -> None:
    given(monkeypatch, lambda s, rung: 0.0)
    asked = watched(monkeypatch)

    claim = of_given("exact", "flow", vary={**VARY, "seed": tuple(range(1000))})

    def tried(seed: int) -> list[Setting]:
        asked.clear()
        climb(claim, dataclasses.replace(TINY, confirm=3), seed)
        return [s for s, on in asked if on == rung and s != claim.base]  # the base is tried whatever the seed

    first = tried(1)
    assert first
    assert tried(1) == first
    assert tried(2) != first


def test_a_record_is_proved_only_by_all_its_lines() -> None:
    unproved = Step("1 = 0", lambda: sp.Integer(1), lambda: sp.Integer(1))
    record = climb(toy(proof=(PROVED, unproved)), TINY).record
    assert (record["verdict"], record["proved"]) == ("supported", False)


@pytest.mark.parametrize("seed", range(6))
def test_a_rare_counterexample_is_looked_for_where_the_needs_fail(seed: int) -> None:
    """One Setting in 40 lacks what the claim needs, and half of these fail: 40 draws from all would miss them in one of
    two seeds."""
    even = Assumption("seed", "the seed is not 0", where=lambda s: s.seed > 0)

    def fails_at_seed_0(run: Run) -> Array:
        return run["z"] * 0 + float(run.setting.seed == 0 and run.setting.get("views.n") != 2)

    claim = toy(fails_at_seed_0, vary={**VARY, "seed": tuple(range(39, -1, -1))}, needs=(even,))
    record = climb(claim, TINY, seed).record
    assert record["counterexample"] is not None
    assert record["counterexample"]["setting"]["seed"] == 0


def test_needs_that_hold_throughout_are_no_place_to_look() -> None:
    always = Assumption("n", "at least two points", where=lambda s: s.get("views.n") >= 2)
    record = climb(toy(needs=(always,)), TINY).record
    assert (record["verdict"], record["counterexample"]) == ("supported", None)
