"""The judge: from evidence to a verdict, by the table below and nothing else. Nobody writes a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dynamics.setting import Setting

VERDICTS = ("verified", "supported", "conditional", "refuted", "open", "error")


@dataclass(frozen=True)
class Evidence:
    """One rung's reading over `settings` Settings; residual, tolerance and setting are those of the worst."""

    rung: str
    under: str  # "stated" or "needed"
    settings: int
    replicas: int
    residual: float
    tolerance: float
    ok: bool
    law: str
    setting: Setting


@dataclass(frozen=True)
class Control:
    """A Run or theory on which the residual must (or, for a refuted claim's correction, must not) fail."""

    name: str
    residual: float
    tolerance: float
    failed: bool
    as_it_should: bool


@dataclass(frozen=True)
class Findings:
    """What was found. counter_stated / counter_needed: a counterexample under what the source states / with our needs.

    astray: in words, the controls that did not behave. contradicted: a dearer rung, fine enough to see it, passes at the
    counterexample. idle: what a proof step says whose mutated twin passes too.
    """

    ran: bool
    counter_stated: bool
    has_needs: bool
    counter_needed: bool
    proved: bool
    astray: str = ""
    contradicted: bool = False
    idle: str = ""


def verdict(f: Findings) -> tuple[str, str]:
    """(verdict, reason).

    none under stated, proof                      verified
    none under stated, no proof of just that      supported (a proof that uses our needs is not one of the statement)
    some under stated, none with needs            conditional
    some under stated, also with needs / no needs refuted, unless a proof stands against it: error
    a mutated proof step that passes too          error: the check is broken, whatever it says
    a control that does not behave                error: the same
    a dearer rung passes at the counterexample    error: the rungs disagree, so one of them is wrong
    nothing ran                                   open
    """
    if f.idle:
        return "error", f"the mutated twin of a proof step passes too ({f.idle}): this proof proves nothing"
    if not f.ran:
        return "open", "nothing ran"
    if f.astray:
        return "error", f"a control did not behave ({f.astray}): this check cannot be trusted"
    if f.contradicted:
        return "error", "a dearer rung passes at the counterexample: the rungs disagree, so one of them is wrong"
    if not f.counter_stated:
        if f.proved and not f.has_needs:
            return "verified", "proved, and no counterexample found"
        return "supported", "no counterexample found" + ("; proved only with our needs" if f.proved else "")
    if f.has_needs and not f.counter_needed:
        found = "counterexample as stated, none once the needs are added"
        return "conditional", found + (", which is proved" if f.proved else "; not proved with them either")
    if f.proved:
        return "error", "a proof and a counterexample: they disagree, so our code is wrong"
    return "refuted", "counterexample" + (", also with the needs added" if f.has_needs else "")


def astray(controls: Sequence[Control]) -> str:
    """In words, each control that did not behave, with its numbers; "" where there are some and all did."""
    if not controls:
        return (
            "none could be run: no Setting was found at which the claim holds; give one as holds_at, or as corrected_by a claim "
            "that passes at the counterexample"
        )
    wrong = [
        f"{c.name}: residual {c.residual:.2e} should {'be within' if c.failed else 'exceed'} {c.tolerance:.1e}"
        for c in controls
        if not c.as_it_should
    ]
    return "; ".join(wrong)
