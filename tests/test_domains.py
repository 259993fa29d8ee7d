"""Which Settings a claim admits: inside every domain of its own and under every assumption."""

from __future__ import annotations

from toy_claims import EQUAL, HOLDS, toy

from derivations.assumption import Assumption
from noncollapse.search import allowed

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
