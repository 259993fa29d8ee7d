"""The registry: which modules hold claims, in the order of the report. Registering a claim is what tests it."""

from __future__ import annotations

from importlib import import_module

from derivations.claim import Claim

MODULES_OF_CLAIMS = (
    "collapse",
    "invariance",
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
CLAIMS: dict[str, Claim] = {claim.id: claim for held in _HELD.values() for claim in held}
MODULES: dict[str, str] = {claim.id: module for module, held in _HELD.items() for claim in held}
