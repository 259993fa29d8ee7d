"""The engine: the judge's table, controls that can fail, the laws of the rungs, the search, and the registry."""

from __future__ import annotations

import dataclasses
import itertools
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from derivations import registry
from derivations.assumption import Assumption, Interval
from derivations.claim import RUNGS, Claim
from derivations.contrastive import POINTS, unit_identity
from derivations.proof import Step
from derivations.registry import CLAIMS
from dynamics.run import Array, Run
from dynamics.setting import Setting
from full_models.deep_settings import DEEP
from noncollapse import rungs, verify
from noncollapse.budget import BUDGETS, Budget
from noncollapse.judge import VERDICTS, Findings, verdict
from noncollapse.ladder import climb
from noncollapse.rungs import FLOOR, LATER, LAWS, TELLING, ResidualError, TooShort, read
from noncollapse.search import EmptyAssumptions, allowed, find, sample
from noncollapse.text import evidence_lines

TINY = Budget("quick", examples=40, confirm=1, replicas=8, deep_replicas=2)

# --- the judge --------------------------------------------------------------------------------------------------------

TABLE = {  # idle step, ran, controls, contradicted, counterexample stated, has needs, counterexample needed, proved; "." is either
    "1.......": "error", "00......": "open", "010.....": "error", "0111....": "error",
    "011000.1": "verified", "011000.0": "supported", "011001..": "supported", "0110110.": "conditional",
    "01101110": "refuted", "01101111": "error", "011010.0": "refuted", "011010.1": "error",
}  # fmt: skip


@pytest.mark.parametrize("bits", ["".join(b) for b in itertools.product("01", repeat=8)])
def test_verdict_table(bits: str) -> None:
    rows = [v for row, v in TABLE.items() if all(r in (".", b) for r, b in zip(row, bits, strict=True))]
    assert len(rows) == 1, "the table names every case once"
    idle, ran, controls, contradicted, stated, needs, needed, proved = (b == "1" for b in bits)
    astray, step = "" if controls else "noise: 1 should exceed 2", "0 = 0" if idle else ""
    found, reason = verdict(Findings(ran, stated, needs, needed, proved, astray, contradicted, step))
    assert found == rows[0]
    assert found in VERDICTS
    assert reason
    if found == "conditional":
        assert ("proved" in reason) and ("not proved" in reason) != proved
    if idle:
        assert "0 = 0" in reason, "it names the step"
    elif ran and not controls:
        assert astray in reason, "it names the control and its numbers"


# --- toy claims on unit vectors ---------------------------------------------------------------------------------------

VARY = {"views.n": (2, 3, 4), "views.spread": Interval(0.0, 2.0), "seed": tuple(range(8))}
EQUAL = Assumption("equal-views", "the views are equal", {"views.spread": (0.0,)})
PROVED = Step("0 = 0", lambda: sp.Integer(0), lambda: sp.Integer(1))


def alignment(run: Run) -> Array:
    """f·f⁺ - 1: 0 only where the views are equal."""
    return (run["z"] * run["z_plus"]).sum(-1) - 1


def toy(residual=unit_identity, **changes) -> Claim:
    base = POINTS.replace(views__d=2)
    return dataclasses.replace(
        Claim("toy", "", "", "", "", base=base, vary=VARY, rungs=("exact",), residual=residual), **changes
    )


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


@pytest.mark.parametrize(("residual", "says"), [(says_nan, "not finite at"), (misspelt, "NameError in its code")])
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


HOLDS = POINTS.replace(views__spread=0.0)


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


def test_eigenvalues_that_fit_no_others_are_named_with_their_assumption() -> None:
    claim = CLAIMS["tian-lemma1"]  # draws d = 1, 2 or 3
    for noise in ((0.1,) * 5, (0.1, 0.1)):
        long = Assumption("long", "a noise of one length", {"views.noise": (noise,)})
        with pytest.raises(ValueError, match=r"^tian-lemma1: its domains and 'long' make no Setting: .* views.noise"):
            sample(claim, (*claim.states, long), 20, seed=0)


# --- the laws of the rungs, on Runs given here ------------------------------------------------------------------------


def given_run(monkeypatch: pytest.MonkeyPatch, x) -> None:
    """Every Run has obs x (R, 1) = x(setting, halvings), and the residual is x itself."""

    def make(setting: Setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        return Run(setting, rung, np.zeros(1), {"x": np.reshape(np.asarray(x(setting, halvings), float), (-1, 1))})

    monkeypatch.setattr(rungs, "make_run", make)


def measured(rung: str, replicas: int = 1, **changes) -> rungs.Reading:
    claim = toy(lambda run: run["x"], **changes)
    return read(claim, claim.base, rung, replicas)


@pytest.mark.parametrize("rung", ["exact", "flow"])
@pytest.mark.parametrize("sign", [1, -1])
def test_law_of_exact_and_flow(monkeypatch: pytest.MonkeyPatch, rung: str, sign: int) -> None:
    given_run(monkeypatch, lambda s, h: sign * 0.99 * FLOOR)
    assert measured(rung).ok
    given_run(monkeypatch, lambda s, h: sign * 1.01 * FLOOR)
    assert not measured(rung).ok
    assert measured(rung, bound=True).ok == (sign < 0), "a bound is broken on one side only"
    assert measured(rung, slack=lambda s: FLOOR).ok


@pytest.mark.parametrize(("order", "ok"), [(1.0, True), (0.92, True), (1.08, True), (0.85, False), (1.15, False),
                                           (0.0, False), (2.0, False), (-1.0, False)])  # fmt: skip
def test_descent_must_approach_the_flow_at_slope_one(monkeypatch: pytest.MonkeyPatch, order: float, ok: bool) -> None:
    given_run(monkeypatch, lambda s, h: 0.1 * 2.0 ** (-order * h))
    assert measured("descent").ok == ok


@pytest.mark.parametrize(
    ("error", "asked", "ok"),
    [
        (lambda x: 0.1 * (x + x * x), 5, True),  # slope 1.26 at lr/4, 1.15, 1.08, and so on to 1: off by the next order
        (lambda x: 0.1 * (x + 2 * x * x), 5, False),  # 1.42, 1.26, 1.15: steps too coarse to tell
        (lambda x: 0.1 * (x + x * x / 2), 4, True),
        (lambda x: 0.1 * x**2, 3, False),  # the second order stays the second
        (lambda x: 0.1 * x**0.7, 3, False),
        (lambda x: 0.1 * x + 0.02, 3, False),  # an error that no step makes: the slope falls away from 1
    ],
)
def test_a_slope_that_comes_nearer_to_one_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, error, asked: int, ok: bool
) -> None:
    halvings: list[int] = []

    def x(setting: Setting, h: int) -> float:
        halvings.append(h)
        return error(2.0**-h)

    given_run(monkeypatch, x)
    reading = measured("descent")
    assert reading.ok == ok
    assert len(halvings) == asked, "and no dearer run than that takes"


def test_descent_within_tolerance_needs_no_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, lambda s, h: FLOOR / 2)
    assert measured("descent").ok
    given_run(monkeypatch, lambda s, h: 0.1 * 2.0**-h if h < 2 else 0.0)
    assert measured("descent").ok


R = 64
SE = float(np.sqrt(2 / R))  # of a difference of two means of R unit normals: what the law calls one standard error


def sgd_run(seed: int, offset: float, order: float = 0.0, n: int = R):
    """R unit normals about an offset that shrinks with the step at the order; fresh noise at each step size."""
    return lambda s, h: offset * 2.0 ** (-order * h) + np.random.default_rng([seed, h]).standard_normal(n)


@pytest.mark.parametrize("seed", range(20))
def test_sgd_law(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    given_run(monkeypatch, sgd_run(seed, 0.0))
    reading = measured("sgd", R)
    assert reading.ok, "n = 64: a mean of 0 leaves 4 SE (here 5.7 of its own) once in 10^8"
    assert reading.replicas == R
    assert f"n = {R}" in reading.note
    given_run(monkeypatch, sgd_run(seed, 10 * SE))
    assert not measured("sgd", R).ok, "n = 64: 10 SE exceed 4 SE + a measured bias of 1 SE in size"
    given_run(monkeypatch, sgd_run(seed, 2 * 30 * SE, order=1))
    assert measured("sgd", R).ok, "n = 64: an O(lr) bias is what halving the step removes"
    given_run(monkeypatch, sgd_run(seed, 40 * SE, order=0.3))
    assert not measured("sgd", R).ok, "n = 64: 2^-0.3 of 40 SE stays and only 0.23 of it was measured as bias"
    given_run(monkeypatch, sgd_run(seed, 60 * SE, order=0.6))
    assert not measured("sgd", R).ok, "n = 64: 39.6 SE stay against 4 + 20.4; a bias counted twice would let it pass"


def test_sgd_law_of_a_bound_and_of_more_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, sgd_run(0, -10 * SE))
    assert measured("sgd", R, bound=True).ok, "n = 64: ten SE on the allowed side"
    given_run(monkeypatch, sgd_run(0, 10 * SE))
    assert not measured("sgd", R, bound=True).ok, "n = 64: ten SE on the wrong side"
    given_run(monkeypatch, sgd_run(0, 3 * SE))
    assert measured("sgd", R).ok, "n = 64: 3 SE cannot be told from 0 at 4"
    given_run(monkeypatch, sgd_run(0, 3 * SE, n=64 * R))
    assert not measured("sgd", 64 * R).ok, "n = 4096: the same offset is 24 SE"


def horizon(setting: Setting) -> float:
    return setting.training.t_end / POINTS.training.t_end


def test_a_limit_still_on_its_way_is_not_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, lambda s, h: 1 / horizon(s))
    assert LATER[0] > 2, "1/t more than halves from each horizon to the next"
    reading = measured("exact", slack=lambda s: 0.0)
    assert reading.ok
    assert "shrinking" in reading.note
    assert not measured("exact").ok, "without slack it is no limit, and fails where it fails"


def test_the_last_step_decides_of_a_limit_that_is_slow_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_first = {1: 9.2, 4: 6.8, 16: 1.2, 64: 0.2}  # near a fold: like 1/t only once it is near
    given_run(monkeypatch, lambda s, h: slow_first[round(horizon(s))])
    assert measured("exact", slack=lambda s: 0.0).ok
    given_run(monkeypatch, lambda s, h: {**slow_first, 64: 0.7}[round(horizon(s))])
    assert not measured("exact", slack=lambda s: 0.0).ok, "0.7 is over half of 1.2"
    given_run(monkeypatch, lambda s, h: {**slow_first, 4: 8.5}[round(horizon(s))])
    assert not measured("exact", slack=lambda s: 0.0).ok, "8.5 is over nine tenths of 9.2: it stays"


@pytest.mark.parametrize("rest", [1.0, 0.3, np.nan])
def test_a_time_too_short_to_tell_a_limit_is_refused(monkeypatch: pytest.MonkeyPatch, rest: float) -> None:
    given_run(monkeypatch, lambda s, h: 0.2)
    with pytest.raises(ValueError, match=r"its own law leaves a residual of .*: give a longer training\.t_end"):
        measured("exact", slack=lambda s: rest)
    assert measured("exact", slack=lambda s: TELLING).ok, "0.2 lies within 0.25"


@pytest.mark.parametrize("rest", [0.1, 1e-3, 1e-6])
def test_a_limit_that_settles_above_zero_is_refuted(monkeypatch: pytest.MonkeyPatch, rest: float) -> None:
    given_run(monkeypatch, lambda s, h: rest + np.exp(-horizon(s)))  # halves, and then stays
    assert not measured("exact", slack=lambda s: 0.0).ok


@pytest.mark.parametrize("rest", [1.0, 0.6, 1.5])
def test_a_limit_whose_rest_stays_is_refuted(monkeypatch: pytest.MonkeyPatch, rest: float) -> None:
    given_run(monkeypatch, lambda s, h: 1.0 if horizon(s) == 1 else rest)  # at least half of it is left later
    assert not measured("exact", slack=lambda s: 0.0).ok
    assert not measured("flow", slack=lambda s: 0.0).ok


def test_a_sequence_of_settings_asks_no_later_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, lambda s, h: 1 / horizon(s))
    claim = toy(lambda *runs: runs[-1]["x"], slack=lambda s: 0.0, along=("objective.negatives", (2, 4)))
    assert not read(claim, claim.base, "exact", 1).ok


# --- the search -------------------------------------------------------------------------------------------------------


def test_search_is_deterministic_in_its_seed() -> None:
    claim = toy(vary={**VARY, "seed": tuple(range(1000))})

    def search(seed: int) -> tuple[Setting | None, int, list[Setting]]:
        found = find(claim, (), lambda s: s.views.spread > 0.5 and s.seed % 7 == 3, 60, seed)
        return found.counterexample, found.tried, sample(claim, (), 6, seed)

    first = search(1)
    random.seed(12)
    np.random.default_rng().random()
    assert search(1) == first
    assert search(2)[2] != first[2]


def test_search_shrinks() -> None:
    found = find(toy(), (), lambda s: s.views.spread > 0.5, 60, seed=3).counterexample
    assert found is not None
    assert (found.views.n, found.views.spread, found.seed) == (2, 0.6, 0)  # 0.6 is the first step of 0.1 beyond 0.5


def test_nothing_found_says_how_many_were_tried() -> None:
    found = find(toy(), (), lambda s: False, 60, seed=0)
    assert found.counterexample is None
    assert 20 <= found.tried <= 60  # distinct ones among 60 drawn of 504


def test_climb_is_deterministic() -> None:
    one, two = (climb(toy(alignment, needs=(EQUAL,)), TINY, seed=5).record for _ in range(2))
    assert {k: v for k, v in one.items() if k != "provenance"} == {k: v for k, v in two.items() if k != "provenance"}


@pytest.mark.parametrize("claim", [c for c in CLAIMS.values() if c.vary], ids=lambda c: c.id)
def test_generated_settings_satisfy_the_assumptions(claim: Claim) -> None:
    for assumptions in (claim.states, (*claim.states, *claim.needs)) if claim.needs else (claim.states,):
        drawn = sample(claim, assumptions, 3, seed=0)
        assert drawn
        assert len(set(drawn)) == len(drawn)
        for setting in drawn:
            assert allowed(claim, assumptions, setting)
            assert all(a.holds(setting) for a in assumptions), setting.to_json()
            assert Setting.from_json(setting.to_json()) == setting


# --- the registry -----------------------------------------------------------------------------------------------------

NOTE_IDS = (
    "naive-global-minimum",
    "naive-collapse",
    "noise-information",
    "other-difficulties",
    "collapse-covariance",
    "collapse-entropy",
    "collapse-loss-zero",
    "invariance-no-repulsion",
    "invariance-flow",
    "invariance-solution",
    "invariance-singular-values",
    "invariance-learning-rate",
    "byol-flow-W",
    "byol-flow-P",
    "byol-pstar",
    "byol-stationary-condition",
    "byol-collapse-fixed-point",
    "byol-fixed-point",
    "byol-no-collapse",
    "byol-convergence",
    "byol-condition-predictor",
    "byol-condition-stop-gradient",
    "byol-condition-cross-correlation",
    "byol-three-conditions",
)
BY_ID = pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda c: c.id)


def test_every_claim_of_the_three_sections_is_registered() -> None:
    assert len(NOTE_IDS) == 24  # the note's claims in 1.2, 3.1 and 3.3
    assert not set(NOTE_IDS) - set(CLAIMS)


def test_ids_are_unique() -> None:
    counts = Counter(claim.id for held in registry._HELD.values() for claim in held)
    assert [i for i, n in counts.items() if n > 1] == []
    assert set(counts) == set(CLAIMS) == set(registry.MODULES)


def test_a_correction_that_is_no_claim_is_named() -> None:
    with pytest.raises(ValueError, match="toy is corrected by 'tpy', which is no claim's id"):
        registry.check_registered({"mine": (toy(corrected_by="tpy"),)})


@BY_ID
def test_a_check_can_fail_or_can_pass(claim: Claim) -> None:
    if claim.residual is None:
        assert claim.untestable, "a claim without a check says why"
        assert not claim.rungs
    else:
        assert claim.mutants or claim.corrected_by or claim.holds_at
        assert claim.rungs


def test_a_rung_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"^toy speaks of a rung 'sdg'.*: name some of exact, flow, descent, sgd$"):
        toy(rungs=("flow", "sdg"))
    assert set(LAWS) == set(RUNGS)


def test_choices_of_eigenvalues_of_several_lengths_are_named() -> None:
    mixed = {"views.noise": ((0.1, 0.1), (0.2,), (0.3, 0.3))}
    says = "choices of views.noise have 1 and 2 eigenvalues: give all as many, or a Spectrum"
    with pytest.raises(ValueError, match=f"^assumption 'odd': {says}$"):
        Assumption("odd", "", mixed)
    with pytest.raises(ValueError, match=f"^toy: {says}$"):
        toy(vary=mixed)
    assert Assumption("even", "", {"views.noise": ((0.1, 0.1), (0.3, 0.3))}), "of one length"


def test_an_assumption_has_one_name_and_one_sentence_in_all_claims() -> None:
    sentences: dict[str, set[str]] = {}
    for claim in CLAIMS.values():
        for assumption in (*claim.states, *claim.needs):
            sentences.setdefault(assumption.name.replace(" ", "-"), set()).add(f"{assumption.name}: {assumption.says}")
    assert [said for said in sentences.values() if len(said) > 1] == []


@BY_ID
def test_a_correction_exists_and_needs_no_correction(claim: Claim) -> None:
    if claim.corrected_by is not None:
        assert claim.corrected_by in CLAIMS
        assert CLAIMS[claim.corrected_by].corrected_by is None
        assert claim.explains, "a corrected claim says why it fails"


@BY_ID
def test_a_transfer_names_deep_settings(claim: Claim) -> None:
    if claim.transfer is not None:
        assert claim.transfer.deep
        assert set(claim.transfer.deep) <= set(DEEP)
        assert claim.transfer.says


@BY_ID
def test_a_claim_can_be_read(claim: Claim) -> None:
    assert claim.title
    assert claim.statement or claim.untestable
    assert claim.section
    assert claim.source
    assert Setting.from_json(claim.base.to_json()) == claim.base
    assumptions = {(a.name, a.says) for a in (*claim.states, *claim.needs)}
    assert len({name for name, _ in assumptions}) == len(assumptions), "one name, one sentence"
    assert all(a.says for a in (*claim.states, *claim.needs))


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
