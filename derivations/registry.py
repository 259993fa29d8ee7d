"""The registry: which modules hold claims, in the order of the report. Registering a claim is what tests it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from derivations.claim import Claim

MODULES_OF_CLAIMS = (
    "collapse",
    "invariance",
    "invariance_distances",
    "byol_flow",
    "byol_limits",
    "byol_balance",
    "byol_turning",
    "byol_conditions",
    "byol_without",
    "contrastive",
    "tian_flow",
    "tian_theorem2",
    "tian_collapse",
    "tian_symmetry",
    "tian_align",
    "tian_modes",
    "tian_parabola",
    "tian_limits",
    "tian_basin",
    "tian_ema",
    "tian_sides",
    "tian_origin",
    "tian_corrected",
)

_HELD: dict[str, tuple[Claim, ...]] = {m: import_module(f"derivations.{m}").CLAIMS for m in MODULES_OF_CLAIMS}


def check_registered(held: Mapping[str, Sequence[Claim]]) -> None:
    """Raise ValueError where two claims have one id (the later would hide the other), a correction is no claim, or nothing shows
    that a check can fail, or can pass."""
    modules: dict[str, str] = {}
    for module, claims in held.items():
        for claim in claims:
            if claim.id in modules:
                raise ValueError(
                    f"{module}.py has a claim {claim.id!r}, as has {modules[claim.id]}.py: give it another id"
                )
            modules[claim.id] = module
    for claim in (claim for claims in held.values() for claim in claims):
        if claim.corrected_by is not None and claim.corrected_by not in modules:
            raise ValueError(f"{claim.id} is corrected by {claim.corrected_by!r}, which is no claim's id")
        if claim.residual is not None and not (claim.mutants or claim.corrected_by or claim.holds_at):
            raise ValueError(
                f"{claim.id} has no wrong theory that its check must tell from it: give mutants, or where it fails throughout "
                "corrected_by or holds_at"
            )


check_registered(_HELD)
CLAIMS: dict[str, Claim] = {claim.id: claim for held in _HELD.values() for claim in held}
MODULES: dict[str, str] = {claim.id: module for module, held in _HELD.items() for claim in held}
