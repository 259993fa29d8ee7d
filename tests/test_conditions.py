"""What is stated is needed: a Setting that a claim admits, changed in one place only, breaks one condition and the claim with it."""

from __future__ import annotations

from typing import Any

import pytest

from derivations.registry import CLAIMS
from noncollapse.rungs import read

GRADIENT: dict[str, Any] = {"objective__stop_gradient": False}
AVERAGED: dict[str, Any] = {"objective__target": "ema", "network__tau0": 0.5}
DECAY: dict[str, Any] = {"training__eta": 0.3}
ONLINE: dict[str, Any] = {"objective__target": "online"}
LOW: dict[str, Any] = {"network__w0": 0.02}
NEEDED: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (  # claim, condition, what breaks it, at
    ("tian-lemma1", "stop-gradient", GRADIENT, ONLINE),
    ("tian-theorem1", "free predictor", {"objective__predictor": "symmetric"}, {"network__start": "symmetric"}),
    ("tian-theorem2-flow", "no-stop-gradient", {"objective__stop_gradient": True}, {}),
    ("tian-theorem2-flow", "online-target", AVERAGED, {}),
    ("tian-theorem2-flow", "exchangeable-views", {"views__twist": 0.6}, {}),
    ("tian-asymmetry-law", "online-target", AVERAGED, {}),
    ("tian-theorem3-equation", "stop-gradient", GRADIENT, {}),
    ("tian-theorem3-equation", "online-target", AVERAGED, {}),
    ("tian-theorem3", "online-target", AVERAGED, {}),
    ("tian-normalised-alignment", "online-target", AVERAGED, {}),
    ("tian-theorem4", "stop-gradient", GRADIENT, ONLINE),
    ("tian-theorem4", "aligned start", {"network__start": "generic"}, {}),
    ("tian-optimal-predictor", "stop-gradient", GRADIENT, {}),
    ("tian-fixed-points", "stop-gradient", GRADIENT, {}),
    ("tian-fixed-points", "start above the saddle", LOW, {}),
    ("tian-ema-fixed-point", "start above the saddle", LOW, {}),
    ("tian-origin-half-unstable", "stop-gradient", GRADIENT, {}),
    ("tian-origin-half-unstable", "online-target", AVERAGED, {}),
    ("tian-origin-half-unstable", "no-weight-decay", DECAY, {}),
    ("byol-stationary-product", "online-target", AVERAGED, {}),
    ("byol-bounded", "online-target", AVERAGED, {}),
    ("byol-turning", "online-target", AVERAGED, {}),
    ("byol-turning", "no-weight-decay", DECAY, {}),
    ("simclr-collapse-saddle", "two-dimensions", {"views__d": 1}, {}),
)


@pytest.mark.parametrize(("name", "condition", "change", "at"), NEEDED)
def test_without_a_condition_the_claim_fails(
    name: str, condition: str, change: dict[str, Any], at: dict[str, Any]
) -> None:
    claim = CLAIMS[name]
    within, without = claim.base.replace(**at), claim.base.replace(**at, **change)
    assert all(a.holds(within) for a in claim.states)
    assert [a.name for a in claim.states if not a.holds(without)] == [condition]
    rung = claim.rungs[0]
    assert read(claim, within, rung, 8).ok
    assert not read(claim, without, rung, 8).ok
