"""Which Settings a claim admits: inside every domain of its own and under every assumption."""

from __future__ import annotations

from typing import Any

import pytest
from toy_claims import EQUAL, HOLDS, toy

from derivations.assumption import Assumption
from derivations.claim import Claim
from derivations.registry import CLAIMS
from dynamics.observe import normalised_commutator
from dynamics.start import start
from noncollapse.ledger import read_ledger
from noncollapse.rungs import can_ask, read
from noncollapse.search import allowed, sample

CHECKED = [claim for claim in CLAIMS.values() if claim.residual]
HOLD = [claim for claim in CHECKED if read_ledger().get(claim.id) in ("verified", "supported", "conditional")]
ODD = Assumption("odd-seed", "the seed is odd", where=lambda s: s.seed % 2 == 1)


def test_a_setting_outside_one_domain_is_not_allowed() -> None:
    claim = toy()
    assert allowed(claim, (), claim.base)
    assert not allowed(claim, (), claim.base.replace(views__n=9)), "n is 2, 3 or 4"
    assert not allowed(claim, (), claim.base.replace(views__spread=2.5)), "the spread is at most 2"


def test_a_setting_must_satisfy_the_assumptions_too() -> None:
    equal = HOLDS.replace(views__d=2)
    assert allowed(toy(), (EQUAL,), equal)
    assert not allowed(toy(), (EQUAL,), equal.replace(views__spread=1.0)), "inside the domain, but not equal"
    assert not allowed(toy(), (ODD,), equal.replace(seed=2)), "what no list of values says counts too"
    assert allowed(toy(), (ODD,), equal.replace(seed=3))


@pytest.mark.parametrize("claim", CHECKED, ids=lambda c: c.id)
def test_the_base_lies_where_the_claim_speaks(claim: Claim) -> None:
    """Within what it states and needs: the base is where a reader and the ladder start from, counterexamples are searched."""
    assert allowed(claim, (*claim.states, *claim.needs), claim.base)


@pytest.mark.parametrize("claim", HOLD, ids=lambda c: c.id)
def test_the_base_is_a_witness(claim: Claim) -> None:
    assert read(claim, claim.base, claim.rungs[0], 8).ok


@pytest.mark.parametrize(
    "decay", [{"training__eta": 0.3}, {"training__eta": 0.1, "training__eta_p": 0.25}], ids=["eta", "eta_p"]
)
@pytest.mark.parametrize("claim", HOLD, ids=lambda c: c.id)
def test_what_another_decay_would_break_is_said(claim: Claim, decay: dict[str, Any]) -> None:
    """Wherever a reader finds nothing said against a weight decay, the claim holds with one."""
    assumptions = (*claim.states, *claim.needs)
    drawn = [claim.base, *sample(claim, assumptions, 4, seed=0)]
    for setting in (s.replace(**decay) for s in drawn):
        if all(a.holds(setting) for a in assumptions) and can_ask(claim, setting, claim.rungs[0]):
            assert read(claim, setting, claim.rungs[0], 8).ok, setting.to_json()


@pytest.mark.parametrize(
    "name", ["tian-asymmetry-law", "tian-theorem3-equation", "tian-theorem3", "tian-normalised-alignment"]
)
def test_most_starts_of_a_claim_on_a_commutator_have_one(name: str) -> None:
    """Where P and F commute they do so for ever, and every wrong theory of the commutator holds as well."""
    drawn = sample(CLAIMS[name], CLAIMS[name].states, 40, seed=0)
    starts = [start(s) for s in drawn]
    telling = [float(normalised_commutator(W @ W.T, P)) > 0.01 for W, P, _ in starts]  # of a size of 1
    assert sum(telling) > 0.9 * len(telling) and len(telling) > 30
