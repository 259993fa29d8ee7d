"""Proofs: every line of every claim holds and its wrong twin does not, and what the engine cannot decide is unproved."""

from __future__ import annotations

import pytest
import sympy as sp

from derivations.algebra import matrix
from derivations.claim import Claim
from derivations.contrastive import POINTS, unit_identity
from derivations.proof import Step, StepResult, check, is_zero
from derivations.registry import CLAIMS
from noncollapse.budget import Budget
from noncollapse.ladder import climb

STEPS = {f"{c.id}[{i}]": step for c in CLAIMS.values() for i, step in enumerate(c.proof)}
TINY = Budget("quick", examples=8, confirm=1, replicas=8, deep_replicas=2)


@pytest.mark.parametrize("name", STEPS)
def test_each_line_holds_and_its_wrong_twin_does_not(name: str) -> None:
    step = STEPS[name]
    result = check(step)
    assert result.mutation_rejected, result.note
    assert result.proved == (not step.at), result.note
    if step.at:
        assert is_zero(step.zero()), "a line expanded at one size must hold at least there"


def test_there_are_proofs() -> None:
    assert len(STEPS) >= len([c for c in CLAIMS.values() if c.proof]) >= 12  # "a dozen real claims" is the least


def test_verdicts_of_lines_do_not_depend_on_their_order() -> None:
    order = list(STEPS)
    forward = {name: check(STEPS[name]) for name in order}
    assert {name: check(STEPS[name]) for name in reversed(order)} == forward


@pytest.mark.parametrize("name", [c.id for c in CLAIMS.values() if c.needs])
def test_what_needs_more_than_it_states_is_corrected_by_a_claim_that_states_it_all(name: str) -> None:
    corrected = CLAIMS[CLAIMS[name].corrected_by or ""]
    assert not corrected.needs
    assert corrected.proof
    assert not any(step.at for step in corrected.proof)
    assert corrected.scope


@pytest.mark.parametrize("name", [c.id for c in CLAIMS.values() if c.proof])
def test_a_proof_says_what_it_covers(name: str) -> None:
    assert CLAIMS[name].scope


def test_a_line_whose_wrong_twin_passes_is_unproved() -> None:
    result = check(Step("0 = 0", lambda: sp.Integer(0), lambda: sp.Integer(0)))
    assert (result.proved, result.mutation_rejected) == (False, False)
    assert "proves nothing" in result.note


def test_a_line_that_is_false_is_unproved() -> None:
    result = check(Step("1 = 0", lambda: sp.Integer(1), lambda: sp.Integer(2)))
    assert (result.proved, result.mutation_rejected) == (False, True)


@pytest.mark.parametrize("error", [TypeError, ValueError, NotImplementedError, ZeroDivisionError])
def test_what_sympy_cannot_decide_is_unproved(error: type[Exception]) -> None:
    def fail() -> sp.Expr:
        raise error("no algorithm")

    for step in (Step("left", fail, lambda: sp.Integer(1)), Step("right", lambda: sp.Integer(0), fail)):
        result = check(step)
        assert not result.proved
        assert "could not decide" in result.note


@pytest.mark.parametrize(("what", "zero"), [
    (sp.Integer(0), True), (sp.Integer(1), False), (True, True), (False, False), (sp.true, True), (sp.false, False),
    (sp.nan, False), (sp.oo, False), (sp.zoo, False), (sp.zeros(2, 3), True), (sp.Matrix([0, 1]), False),
    (sp.sin(sp.Symbol("x")) ** 2 + sp.cos(sp.Symbol("x")) ** 2 - 1, True),
    (matrix("Xt") * matrix("Yt") - matrix("Yt") * matrix("Xt"), False),
])  # fmt: skip
def test_is_zero(what: sp.Basic | bool, zero: bool) -> None:
    assert is_zero(what) is zero


GOOD = Step("0 = 0", lambda: sp.Integer(0), lambda: sp.Integer(1))
AT_ONE_SIZE = Step("0 = 0 at one size", lambda: sp.Integer(0), lambda: sp.Integer(1), at="N = 3")


def test_a_line_at_one_size_is_evidence_there() -> None:
    result = check(AT_ONE_SIZE)
    assert isinstance(result, StepResult)
    assert (result.proved, result.mutation_rejected) == (False, True)
    assert "N = 3" in result.note


@pytest.mark.parametrize(("proof", "proved", "verdict"), [
    ((GOOD,), True, "verified"), ((AT_ONE_SIZE,), False, "supported"), ((GOOD, AT_ONE_SIZE), False, "supported"),
    ((), False, "supported"),
])  # fmt: skip
def test_a_line_at_one_size_never_completes_a_proof(proof: tuple[Step, ...], proved: bool, verdict: str) -> None:
    claim = Claim("toy", "", "", "", "", base=POINTS, vary={"seed": (0, 1)}, rungs=("exact",), residual=unit_identity,
                  proof=proof)  # fmt: skip
    record = climb(claim, TINY).record
    assert (record["proved"], record["verdict"]) == (proved, verdict)
