"""The ladder: one claim climbed from proof to SGD, into one record (a plain dict, see `noncollapse.records`)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.assumption import Assumption
from derivations.claim import Claim
from derivations.proof import StepResult, check
from dynamics.run import Array
from dynamics.setting import Setting
from noncollapse.budget import Budget
from noncollapse.controls import WITNESSES, controls_of
from noncollapse.judge import Evidence, Findings, astray, verdict
from noncollapse.rungs import LAWS, UNASKED, Reading, can_ask, make_run, read, settings_along
from noncollapse.search import EmptyAssumptions, allowed, find, sample

PICTURE_POINTS = 41  # times in a picture of a trajectory: nearer than a column-wide line can bend


@dataclass(frozen=True)
class Climb:
    """A claim's record and the arrays of its picture."""

    record: dict[str, Any]
    trace: dict[str, Array]


def climb(claim: Claim, budget: Budget, seed: int = 0, rungs: Sequence[str] | None = None) -> Climb:
    """Proof, search, confirmation, controls, verdict. `rungs` limits which are climbed (None: all the claim speaks of)."""
    began = time.perf_counter()
    ladder = tuple(r for r in claim.rungs if rungs is None or r in rungs)
    steps = [check(step) for step in claim.proof] if rungs is None or "proof" in rungs else []
    proved = bool(steps) and all(s.proved for s in steps)
    idle = "; ".join(s.says for s in steps if s.idle)
    if claim.residual is None or not ladder:
        name, reason = verdict(
            Findings(ran=False, counter_stated=False, has_needs=False, counter_needed=False, proved=False, idle=idle)
        )
        return Climb(_record(claim, name, reason, steps, began, seed, budget), {})
    stated = _Scope(claim, claim.states, "stated", ladder, budget, seed)
    counter, failing = stated.search()
    evidence: list[Evidence] = list(stated.evidence)
    holds: Sequence[Setting] = ()
    counter_needed = False
    if counter is not None and claim.needs:
        needed = _Scope(claim, (*claim.states, *claim.needs), "needed", ladder, budget, seed)
        counter_needed = needed.search()[0] is not None
        evidence += needed.evidence
        holds = () if counter_needed else needed.witnesses
    elif counter is None:
        holds = stated.witnesses
    controls = controls_of(claim, ladder, holds, counter, budget)
    found = None if counter is None else _counterexample(claim, counter, ladder, failing, budget)
    findings = Findings(
        ran=True,
        counter_stated=counter is not None,
        has_needs=bool(claim.needs),
        counter_needed=counter_needed,
        proved=proved,
        astray=astray(controls),
        contradicted=found is not None and any(c["contradicts"] for c in found["confirmed"]),
        idle=idle,
    )
    name, reason = verdict(findings)
    record = _record(claim, name, reason, steps, began, seed, budget)
    record["evidence"] = [_plain(e) for e in evidence]
    record["controls"] = [dataclasses.asdict(c) for c in controls]
    record["counterexample"] = found
    shown = counter if counter is not None else (holds[0] if holds else None)
    trace: dict[str, Array] = {}
    if shown is not None and claim.picture:
        record["picture"], trace = _picture(claim, shown, ladder, budget, counter is not None)
    record["provenance"]["seconds"] = round(time.perf_counter() - began, 2)
    return Climb(record, trace)


class _Scope:
    """One set of assumptions: search on the cheapest rung, then the dearer rungs on sampled Settings."""

    def __init__(
        self,
        claim: Claim,
        assumptions: Sequence[Assumption],
        under: str,
        ladder: Sequence[str],
        budget: Budget,
        seed: int,
    ) -> None:
        self.claim, self.assumptions, self.under = claim, assumptions, under
        self.ladder, self.budget, self.seed = ladder, budget, seed
        self.evidence: list[Evidence] = []
        self.witnesses: list[Setting] = []  # where the claim holds, the base and a random few first

    def search(self) -> tuple[Setting | None, str]:
        """A counterexample, shrunk, or None, and the rung that found it; leaves the evidence of every rung behind."""
        cheapest = self.ladder[0]
        readings: dict[Setting, Reading] = {}
        unasked: dict[Setting, ValueError] = {}

        def fails(setting: Setting) -> bool:
            try:
                readings[setting] = read(self.claim, setting, cheapest, self.budget.replicas)
            except UNASKED as error:
                unasked[setting] = error
                return False
            return not readings[setting].ok

        found = find(self.claim, self.assumptions, fails, self.budget.examples, self.seed).counterexample
        if found is None:
            found = self._beyond_needs(fails)
        if not readings:
            raise next(iter(unasked.values()))
        self._note(cheapest, readings, found, len(unasked))
        if found is not None:
            return found, cheapest
        self.witnesses = list(dict.fromkeys([*self._pick(WITNESSES), *readings]))
        return self._dearer()

    def _beyond_needs(self, fails: Callable[[Setting], bool]) -> Setting | None:
        """Once more, with other draws, only where something is not so that the claim is said to need: if that is what it
        needs, its counterexamples lie there, and they may be a small part of all that it states."""
        if self.under == "needed" or not self.claim.needs:
            return None
        beyond = Assumption(
            "beyond-the-needs",
            "something that the claim is said to need is not so",
            where=lambda s: not all(a.holds(s) for a in self.claim.needs),
        )
        try:
            return find(
                self.claim, (*self.assumptions, beyond), fails, self.budget.examples, f"{self.seed}, beyond the needs"
            ).counterexample
        except EmptyAssumptions:  # the claim states all that it needs
            return None

    def _pick(self, count: int) -> list[Setting]:
        """The claim's base Setting if it qualifies, then others at random."""
        base = [self.claim.base] if allowed(self.claim, self.assumptions, self.claim.base) else []
        others = sample(self.claim, self.assumptions, count, self.seed)
        return [s for s in dict.fromkeys(base + others) if can_ask(self.claim, s, self.ladder[0])][:count]

    def _dearer(self) -> tuple[Setting | None, str]:
        chosen = self._pick(self.budget.confirm) or self.witnesses[: self.budget.confirm]
        for rung in self.ladder[1:]:
            readings = {s: read(self.claim, s, rung, self.budget.replicas) for s in chosen}
            failed = next((s for s, r in readings.items() if not r.ok), None)
            self._note(rung, readings, failed)
            if failed is not None:
                return failed, rung
        return None, ""

    def _note(self, rung: str, readings: dict[Setting, Reading], failed: Setting | None, unasked: int = 0) -> None:
        worst = failed or max(readings, key=lambda s: readings[s].residual / readings[s].tolerance)
        r = readings[worst]
        law = LAWS[rung] + (f" ({r.note})" if r.note else "")
        if unasked:
            law += f"; {unasked} more could not be asked there"
        self.evidence.append(
            Evidence(rung, self.under, len(readings), r.replicas, r.residual, r.tolerance, r.ok, law, worst)
        )


def _counterexample(
    claim: Claim, setting: Setting, ladder: Sequence[str], failing: str, budget: Budget
) -> dict[str, Any]:
    """The shrunk Setting with its residual on every rung. A rung that fails too confirms it; a dearer one that passes
    contradicts it if it can see that far: its tolerance is under half the residual found."""
    readings = {rung: read(claim, setting, rung, budget.replicas) for rung in ladder}
    first, dearer = readings[failing], ladder[ladder.index(failing) + 1 :]
    return {
        "setting": setting.to_dict(), "rung": failing, "residual": first.residual, "tolerance": first.tolerance,
        "confirmed": [
            {"rung": rung, "residual": r.residual, "tolerance": r.tolerance, "fails": not r.ok,
             "contradicts": rung in dearer and r.ok and r.tolerance < first.residual / 2}
            for rung, r in readings.items()
        ],
    }  # fmt: skip


def _finer(setting: Setting) -> Setting:
    """The same trajectory at more times, where it has more than its two ends."""
    points = setting.training.points
    return setting.replace(training__points=max(points, PICTURE_POINTS)) if points > 2 else setting


def _picture(
    claim: Claim, setting: Setting, ladder: Sequence[str], budget: Budget, is_counter: bool
) -> tuple[dict[str, Any], dict[str, Array]]:
    assert claim.picture is not None
    trace: dict[str, Array] = {}
    settings = [_finer(s) for s in settings_along(claim, setting)]
    x = np.array(claim.along[1], float) if claim.along else None
    picture = None
    for rung in ladder:
        runs = [make_run(s, rung, budget.replicas) for s in settings]
        picture = claim.picture(*runs)
        trace[f"{rung}_x"] = runs[0].t if x is None else x
        trace[f"{rung}_measured"] = picture.measured
        if picture.claimed is not None and "claimed" not in trace:
            trace["claimed"], trace["claimed_x"] = picture.claimed, trace[f"{rung}_x"]
    assert picture is not None
    meta = {"xlabel": picture.xlabel, "ylabel": picture.ylabel, "log": picture.log, "rungs": list(ladder),
            "setting": setting.to_dict(), "counterexample": is_counter}  # fmt: skip
    return meta, trace


def _record(
    claim: Claim, name: str, reason: str, steps: Sequence[StepResult], began: float, seed: int, budget: Budget
) -> dict[str, Any]:
    return {
        "claim": claim.id, "section": claim.section, "title": claim.title, "statement": claim.statement,
        "source": claim.source, "verdict": name, "reason": reason,
        "proved": bool(steps) and all(s.proved for s in steps), "scope": claim.scope,
        "corrected_by": claim.corrected_by, "explains": claim.explains, "untestable": claim.untestable,
        "assumptions": {
            "stated": [{"name": a.name, "says": a.says} for a in claim.states],
            "needed": [{"name": a.name, "says": a.says} for a in claim.needs],
        },
        "proof": [dataclasses.asdict(s) for s in steps], "counterexample": None, "evidence": [], "controls": [],
        "transfer": None, "picture": None,
        "provenance": {
            "budget": budget.name, "seed": seed, "seconds": round(time.perf_counter() - began, 2),
            "command": f"noncollapse verify {claim.id} --budget {budget.name}" + (f" --seed {seed}" if seed else ""),
        },
    }  # fmt: skip


def _plain(evidence: Evidence) -> dict[str, Any]:
    return {**dataclasses.asdict(evidence), "setting": evidence.setting.to_dict()}
