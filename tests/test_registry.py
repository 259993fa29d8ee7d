"""The registry: every claim is registered once, can be read, and has a check that can fail."""

from __future__ import annotations

from collections import Counter

import pytest
from toy_claims import toy

from derivations import registry
from derivations.assumption import Assumption, Interval
from derivations.claim import RUNGS, Claim
from derivations.registry import CLAIMS
from dynamics.setting import Setting
from full_models.deep_settings import DEEP
from noncollapse.rungs import LAWS

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


def test_a_check_that_no_wrong_theory_tries_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"^toy has no wrong theory .*: give mutants, or where it fails throughout corrected_by or"
    ):
        registry.check_registered({"mine": (toy(),)})
    registry.check_registered({"mine": (toy(mutants={"wrong": toy().residual}),)})


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


@pytest.mark.parametrize("domain", [(0.1, 0.2), Interval(0.1, 0.2)])
def test_choices_of_eigenvalues_that_are_none_are_named(domain: tuple[float, ...] | Interval) -> None:
    with pytest.raises(
        ValueError, match=r"^toy: .* is no choice of views.noise: give tuples, such as .*, or a Spectrum$"
    ):
        toy(vary={"views.noise": domain})


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
