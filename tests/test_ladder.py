"""The ladder, climbed by toy claims on unit vectors: what each kind of claim ends as."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from toy_claims import EQUAL, HOLDS, PROVED, TINY, alignment, toy

from derivations.assumption import Assumption
from derivations.contrastive import POINTS, unit_identity
from derivations.proof import Step
from derivations.registry import CLAIMS
from dynamics.run import Array, Run
from dynamics.setting import Setting
from noncollapse import rungs, verify
from noncollapse.budget import BUDGETS
from noncollapse.ladder import climb
from noncollapse.rungs import FLOOR, TELLING, ResidualError, TooShort, read
from noncollapse.search import EmptyAssumptions
from noncollapse.text import evidence_lines


def only_if(seeds: range) -> dict:
    """A limit whose own law says nothing at the other seeds."""
    return {
        "slack": lambda s: 0.0 if s.seed in seeds else 2 * TELLING,
        "mutants": {"half": lambda r: unit_identity(r) + 0.5},
    }


def test_settings_that_cannot_be_asked_are_no_evidence_and_no_error() -> None:
    record = climb(toy(proof=(PROVED,), **only_if(range(4))), TINY).record
    assert record["verdict"] == "verified"
    (evidence,) = record["evidence"]
    assert re.search(r"; [1-9]\d* more could not be asked there$", evidence["law"])
    plain = climb(toy(proof=(PROVED,), **only_if(range(8))), TINY).record["evidence"][0]
    assert evidence["settings"] < plain["settings"] and "could not" not in plain["law"]
    assert climb(toy(alignment, **only_if(range(6, 8))), TINY).record["counterexample"]["setting"]["seed"] in (6, 7)
    with pytest.raises(TooShort, match="give a longer training"):
        climb(toy(**only_if(range(0))), TINY)


def test_true_toy_is_supported_and_verified_with_a_proof() -> None:
    assert climb(toy(), TINY).record["verdict"] == "supported"
    record = climb(toy(proof=(PROVED,)), TINY).record
    assert record["verdict"] == "verified"
    assert record["counterexample"] is None
    assert [c["as_it_should"] for c in record["controls"]] == [True]
    assert record["evidence"][0]["settings"] > 1


def test_a_residual_that_cannot_fail_is_an_error() -> None:
    record = climb(toy(lambda run: np.zeros_like(run["z"]), proof=(PROVED,)), TINY).record
    assert record["verdict"] == "error"
    assert "control" in record["reason"]


def test_a_wrong_theory_that_passes_is_an_error() -> None:
    record = climb(toy(proof=(PROVED,), mutants={"the same again": unit_identity}), TINY).record
    assert record["verdict"] == "error"
    assert [c["as_it_should"] for c in record["controls"]] == [True, False]
    named = r"\(wrong theory: the same again: residual \S+ should exceed \S+\)"  # and not the noise, which did behave
    assert re.search(named, record["reason"]) and "noise" not in record["reason"]


ZERO, ONE = (lambda: sp.Integer(0)), (lambda: sp.Integer(1))


@pytest.mark.parametrize(
    ("step", "verdict"),
    [
        (Step("line and twin swapped", ONE, ZERO), "error"),
        (Step("both the line", ZERO, ZERO), "error"),
        (Step("both at one size", ZERO, ZERO, at="N = 3"), "error"),
        (Step("false, and so is the twin", ONE, ONE), "supported"),  # unproved, never false: sympy may be too weak
        (Step("beyond sympy", lambda: 1 / sp.Integer(0) + int("x"), ONE), "supported"),
    ],
)
def test_a_proof_step_whose_twin_passes_is_an_error(step: Step, verdict: str) -> None:
    record = climb(toy(proof=(PROVED, step)), TINY).record
    assert record["verdict"] == verdict
    assert (step.says in record["reason"]) == (verdict == "error")
    alone = climb(toy(None, proof=(step,)), TINY, rungs=("proof",)).record
    assert alone["verdict"] == ("error" if verdict == "error" else "open")
    (line,) = evidence_lines(alone["proof"], ())
    assert alone["proof"][0]["note"] and alone["proof"][0]["note"] in line and line.startswith("  proof ?")


def test_a_control_that_fails_where_it_should_pass_is_named() -> None:
    record = climb(toy(alignment, holds_at=POINTS.replace(views__spread=1.0)), TINY).record
    assert record["verdict"] == "error"
    assert re.search(
        r"a Setting outside its domain where it holds: residual \S+ should be within 1\.0e-07", record["reason"]
    )
    assert (
        "none could be run: no Setting was found at which the claim holds; give one as holds_at, or as corrected_by"
        in climb(toy(alignment), TINY).record["reason"]
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bound", [False, True])
def test_a_residual_that_is_no_number_raises(value: float, bound: bool) -> None:
    claim = toy(lambda run: np.full((1, 1), value), bound=bound)
    with pytest.raises(ResidualError, match="not finite"):
        read(claim, claim.base, "exact", 1)
    with pytest.raises(ResidualError, match="not finite"):
        climb(claim, TINY)


def test_an_empty_residual_raises() -> None:
    with pytest.raises(ResidualError):
        read(toy(lambda run: np.zeros((1, 0))), toy().base, "exact", 1)


@pytest.mark.parametrize(
    ("residual", "shape"),
    [
        (lambda run: unit_identity(run).max(), r"\(\)"),
        (lambda run: np.zeros(5), r"\(5,\)"),
        (lambda run: None, r"\(\)"),
    ],
    ids=["number", "no replicas", "forgotten return"],
)
def test_a_residual_of_another_shape_is_named(residual, shape: str) -> None:
    with pytest.raises(ResidualError, match=rf"has shape {shape}: give \(R, \.\.\.\), here with R = 1 replicas"):
        read(toy(residual), toy().base, "exact", 1)


def says_nan(run: Run) -> Array:
    return np.full((1, 1), np.nan)


def misspelt(run: Run) -> Array:
    return unit_identitty(run)  # noqa: F821


@pytest.mark.parametrize(("residual", "says"), [(says_nan, "not finite at"), (misspelt, "NameError: name")])
def test_a_fault_of_one_claim_is_one_sentence(
    residual, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(CLAIMS, "toy", toy(residual))
    said = verify.perform(verify.Job("claim", "toy", str(tmp_path), "quick", 0))
    assert said is not None and said.count("toy: ") == 1 and says in said


def test_a_control_that_is_no_number_raises() -> None:
    with pytest.raises(ResidualError):
        climb(toy(mutants={"0/0": lambda run: np.full((1, 1), np.nan)}), TINY)


def test_false_as_stated_and_true_with_needs_is_conditional() -> None:
    record = climb(toy(alignment, needs=(EQUAL,)), TINY).record
    assert record["verdict"] == "conditional"
    found = Setting.from_dict(record["counterexample"]["setting"])
    smallest = (2, 0.1, 0)  # the first values of their domains, and of the spread the first that is not 0
    assert (found.views.n, found.views.spread, found.seed) == smallest
    assert record["counterexample"]["confirmed"][0]["fails"]
    assert {(e["under"], e["ok"]) for e in record["evidence"]} == {("stated", False), ("needed", True)}


def test_a_proof_with_needs_never_verifies_the_statement() -> None:
    assert climb(toy(needs=(EQUAL,), proof=(PROVED,)), TINY).record["verdict"] == "supported"
    assert climb(toy(alignment, needs=(EQUAL,), proof=(PROVED,)), TINY).record["verdict"] == "conditional"


def test_false_without_needs_is_refuted() -> None:
    assert climb(toy(alignment, holds_at=HOLDS), TINY).record["verdict"] == "refuted"


def test_a_proof_against_a_counterexample_is_an_error() -> None:
    record = climb(toy(alignment, holds_at=HOLDS, proof=(PROVED,)), TINY).record
    assert record["verdict"] == "error"
    assert "disagree" in record["reason"]


@pytest.mark.parametrize(("seen", "found"), [(0.0, "error"), (1.0, "refuted")])
def test_a_dearer_rung_that_passes_at_the_counterexample(
    monkeypatch: pytest.MonkeyPatch, seen: float, found: str
) -> None:
    """seen: the violation on the dearer rung. At 0 it passes with a tolerance that would have shown a violation of 1."""
    size = {"exact": 1.0, "flow": seen}

    def make(setting: Setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        x = 0.0 if setting == HOLDS else size[rung] * setting.views.spread
        return Run(setting, rung, np.zeros(1), {"x": np.full((1, 1), x)})

    monkeypatch.setattr(rungs, "make_run", make)
    record = climb(toy(lambda run: run["x"], holds_at=HOLDS, rungs=("exact", "flow")), TINY).record
    assert record["verdict"] == found
    assert [c["contradicts"] for c in record["counterexample"]["confirmed"]] == [False, seen == 0]


def test_a_rung_too_coarse_to_see_it_contradicts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(setting: Setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        x = 0.0 if setting == HOLDS else 2 * FLOOR * (setting.views.spread > 0)
        noise = 0 if rung == "exact" else 1e3 * FLOOR * np.random.default_rng(halvings).standard_normal(replicas)
        return Run(setting, rung, np.zeros(1), {"x": np.reshape(x + noise, (-1, 1))})

    monkeypatch.setattr(rungs, "make_run", make)
    record = climb(toy(lambda run: run["x"], holds_at=HOLDS, rungs=("exact", "sgd")), TINY).record
    assert record["verdict"] == "refuted"
    assert not any(c["contradicts"] for c in record["counterexample"]["confirmed"])


def test_a_check_that_always_fails_is_an_error() -> None:
    assert climb(toy(lambda run: 1 + 0 * run["z"], holds_at=HOLDS), TINY).record["verdict"] == "error"
    assert climb(toy(lambda run: 1 + 0 * run["z"]), TINY).record["verdict"] == "error", "no control ran at all"


def test_without_residual_or_rung_it_is_open() -> None:
    assert climb(toy(None), TINY).record["verdict"] == "open"
    record = climb(toy(proof=(PROVED,)), TINY, rungs=("proof",)).record
    assert (record["verdict"], record["proved"]) == ("open", True)


def test_assumptions_that_nothing_satisfies_raise() -> None:
    far = Assumption("far", "farther than the domain", {"views.spread": (7.0,)})
    never = Assumption("never", "no Setting does", where=lambda s: False)
    for assumption in (far, never):
        for claim in (toy(states=(assumption,)), toy(alignment, needs=(assumption,))):
            with pytest.raises(EmptyAssumptions, match=assumption.name):
                climb(claim, TINY)


def test_climb_is_deterministic() -> None:
    one, two = (climb(toy(alignment, needs=(EQUAL,)), TINY, seed=5).record for _ in range(2))
    assert {k: v for k, v in one.items() if k != "provenance"} == {k: v for k, v in two.items() if k != "provenance"}


def test_budgets_scale_samples() -> None:
    costs = [(b.examples, b.confirm, b.replicas, b.deep_replicas) for b in BUDGETS.values()]
    assert costs == sorted(costs)
    assert all(b.name == name for name, b in BUDGETS.items())


def test_where_a_gpu_is_asked_for_workers_start_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA does not survive a fork of the process that has looked for it."""
    methods: list[str] = []
    monkeypatch.setattr(verify, "processes", lambda _, method: methods.append(method))
    monkeypatch.setattr(verify, "outcomes", lambda *_: iter(()))
    for device in ("cpu", "cuda"):
        plan = [verify.Job("deep", "simsiam-mlp", "results", "quick", 0, device=device)]
        assert list(verify._outcomes(plan, 2)) == []
    assert methods == ["fork", "spawn"]
