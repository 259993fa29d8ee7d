"""The search for a counterexample: deterministic in its seed, shrinking, within the assumptions."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from toy_claims import VARY, toy

from derivations.assumption import Assumption, Spectrum
from derivations.claim import Claim
from derivations.registry import CLAIMS
from dynamics.setting import GaussianViews, Setting
from noncollapse.search import allowed, find, sample


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


@pytest.mark.parametrize(("falling", "simplest"), [(False, 0.5), (True, 1.0)])
def test_search_shrinks_towards_the_side_of_a_spectrum_that_it_names(falling: bool, simplest: float) -> None:
    claim = dataclasses.replace(
        CLAIMS["tian-lemma1"], vary={"d": (1, 2), "views.signal": Spectrum(0.0, 1.0, falling=falling)}
    )
    found = find(claim, (), lambda s: s.views.signal[0] >= 0.5, 60, seed=0).counterexample
    assert found is not None
    assert found.views.signal == (simplest,)
    signals = {s.views.signal[0] for s in sample(claim, (), 40, seed=0) if len(s.views.signal) == 1}
    assert signals == {0.0, 0.25, 0.5, 0.75, 1.0}  # the same values either way: quarters of the interval


def test_nothing_found_says_how_many_were_tried() -> None:
    found = find(toy(), (), lambda s: False, 60, seed=0)
    assert found.counterexample is None
    assert 20 <= found.tried <= 60  # distinct ones among 60 drawn of 504


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


def test_eigenvalues_that_fit_no_others_are_named_with_their_assumption() -> None:
    claim = CLAIMS["tian-lemma1"]  # draws d = 1, 2 or 3
    for noise in ((0.1,) * 5, (0.1, 0.1)):
        long = Assumption("long", "a noise of one length", {"views.noise": (noise,)})
        with pytest.raises(ValueError, match=r"^tian-lemma1: its domains and 'long' make no Setting: .* views.noise"):
            sample(claim, (*claim.states, long), 20, seed=0)


def test_eigenvalues_that_are_not_drawn_are_as_many_as_the_dimension_drawn() -> None:
    claim = toy(base=Setting(GaussianViews((1.0, 0.5), (0.3, 0.2))), vary={"d": (1, 2, 3)})
    drawn = {(s.get("views.signal"), s.get("views.noise")) for s in sample(claim, (), 3, seed=0)}
    assert drawn == {((1.0, 0.5, 1.0)[:d], (0.3, 0.2, 0.3)[:d]) for d in (1, 2, 3)}, "those of the base in turn"


@pytest.mark.parametrize("seed", [0, 2, 3, 4])
def test_a_fault_is_not_hidden_by_a_counterexample(seed: int) -> None:
    """The fault is met first, and shrinking it finds a counterexample that is smaller: of the two hypothesis keeps that one."""

    def fails(setting: Setting) -> bool:
        if setting.seed > 4:
            raise IndexError("out of bounds")
        return setting.seed > 2

    with pytest.raises(IndexError, match="out of bounds"):
        find(toy(), (), fails, 60, seed)
