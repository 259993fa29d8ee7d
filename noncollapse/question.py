"""A question: does a claim hold at one Setting of the asker's own? Numbers there; no verdict, no record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dynamics.setting import Setting, SettingError
from noncollapse.errors import UsageError
from noncollapse.fault import words
from noncollapse.files import parsed
from noncollapse.memory import is_full, words_of

if TYPE_CHECKING:
    from derivations.claim import Claim

# How a Run is looked at, not what a claim speaks of: another value of these leaves a Setting inside.
LOOKED_AT = {"seed", "training.t_end", "training.points", "training.lr", "training.batch"}
MOMENTS = {"gaussian", "images"}  # kinds of views of which theory sees nothing but the moments A, C, S


def around(base: Setting, text: str) -> Setting:
    """The Setting that (partial) JSON makes of a claim's `base`: what is not given keeps the base's value, and views of
    another kind their own defaults. Raises SettingError."""
    try:
        given = parsed(text, _once)
    except SettingError:  # a key stands twice
        raise
    except ValueError as error:
        raise SettingError(f'not JSON ({error}): write e.g. \'{{"training": {{"eta": 0.1}}}}\'') from None
    if not isinstance(given, dict):
        raise SettingError(f'a Setting is a JSON object, not {json.dumps(given)}: write e.g. {{"seed": 1}}')
    data = base.to_dict()
    for name, part in given.items():
        if not isinstance(data.get(name), dict):
            data[name] = part  # the seed, or a name that Setting.from_dict refuses
            continue
        if not isinstance(part, dict):
            raise SettingError(f"{name} must be an object {{...}}, not {json.dumps(part)}")
        other = name == "views" and part.get("kind", data[name]["kind"]) != data[name]["kind"]
        data[name] = part if other else {**data[name], **part}
    return Setting.from_dict(data)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dict. Raises SettingError where a key stands twice: JSON would silently keep the last."""
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise SettingError(f"{key!r} is given twice: give each value once")
        out[key] = value
    return out


def ladder_of(claim: Claim, asked: Sequence[str] | None) -> tuple[str, ...]:
    """The rungs on which the claim's residual can be taken, of those asked for. Raises UsageError if there is none."""
    if claim.residual is None or not claim.rungs:
        raise UsageError(f"{claim.id} has no residual: see `noncollapse show {claim.id}`")
    rungs = tuple(r for r in claim.rungs if asked is None or r in asked)
    if not rungs:
        raise UsageError(f"{claim.id} speaks of the rungs {', '.join(claim.rungs)}: choose among them")
    return rungs


def residual_of(claim_id: str, rung: str, setting: Setting, replicas: int = 32) -> dict[str, Any]:
    """A claim's residual on one Setting and rung, as its ladder judges it, with the assumptions that the Setting does not
    satisfy and what else it changes of what the claim is about; or {"error": why it cannot be read there}: work for a
    sweep, of which one Setting that blows up must not cost the others."""
    from derivations.registry import CLAIMS
    from noncollapse.rungs import read

    claim = CLAIMS[claim_id]
    try:
        unmet = [a.name for a in (*claim.states, *claim.needs) if not a.holds(setting)]
        r = read(claim, setting, rung, replicas)
    except (Exception, SystemExit) as error:
        if is_full(error):
            return {"error": f"this machine's memory is too small for it ({words_of(error)})"}
        return {"error": words(error)}
    return {"residual": r.residual, "tolerance": r.tolerance, "ok": r.ok, "note": r.note, "assumptions_unmet": unmet,
            "differs": differs(claim, setting)}  # fmt: skip


def differs(claim: Claim, setting: Setting) -> dict[str, Any]:
    """path -> the value that the claim is about, of what the Setting changes though the claim neither varies it nor names
    it in an assumption. Views that are nothing but their moments may take each other's place."""
    named = LOOKED_AT | set(claim.vary) | {path for a in (*claim.states, *claim.needs) for path in a.only}
    named |= {claim.along[0]} if claim.along else set()
    named |= {"views.signal", "views.noise"} if "d" in named else set()
    ours, theirs = _flat(setting), _flat(claim.base)
    kinds = {ours["views.kind"], theirs["views.kind"]}
    if len(kinds) > 1:
        named |= {path for path in theirs if path.startswith("views.") and path != "views.kind"}
        named |= {"views.kind"} if kinds <= MOMENTS else set()
    return {path: value for path, value in theirs.items() if path not in named and ours[path] != value}


def _flat(setting: Setting) -> dict[str, Any]:
    """Values by dotted path."""
    out: dict[str, Any] = {}
    for head, value in setting.to_dict().items():
        out |= {f"{head}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {head: value}
    return out


def said(row: dict[str, Any]) -> str:
    """A reading in words: "holds", "fails (outside: exchangeable; the claim is about objective.loss = invariance)"."""
    about = [f"{path} = {value}" for path, value in row["differs"].items()]
    outside = [*row["assumptions_unmet"], *([f"the claim is about {', '.join(about)}"] if about else [])]
    return ("holds" if row["ok"] else "fails") + (f"  (outside: {'; '.join(outside)})" if outside else "")
