"""results/report.html: one self-contained page, drawn from records; it computes nothing but counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from figures.files import whole
from figures.formula import prose, statement
from figures.gallery import image, sections
from figures.read import UnreadableRecord, read_record, verify_remedy

if TYPE_CHECKING:
    from derivations.claim import Claim

VERDICTS = {  # in the order of the summary, with the sign that carries the meaning where colour does not
    "verified": ("✓", "proved, and no counterexample was found"),
    "supported": ("●", "no counterexample was found; no complete proof"),
    "conditional": (
        "◐",
        "false as stated; with the needed assumptions no counterexample was found, and where it says so a proof",
    ),
    "refuted": ("✗", "false; the counterexample and the corrected claim stand beside it"),
    "open": ("○", "not run, or nothing to run"),
    "error": ("!", "proof and numbers disagree, or the record cannot be read: our fault"),
}


def write_report(
    results: Path,
    claims: Sequence[Claim],
    stale: Mapping[str, bool],
    out: Path,
    damaged: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write the page on `claims` to `out` and return it. A missing record is shown as open, an unreadable one as error
    with the sentence that says what to do; neither stops the page. damaged: of records found to be so, that sentence."""
    entries = [_entry(results, claim, stale.get(claim.id, False), damaged.get(claim.id)) for claim in claims]
    known = {entry["id"] for entry in entries}
    page = _template().render(
        entries=entries,
        known=known,
        verdicts=VERDICTS,
        counts=Counter(entry["verdict"] for entry in entries),
        proved=sum(entry["proved"] for entry in entries),
        under_needs=sum(entry["proved"] and bool(entry["assumptions"]["needed"]) for entry in entries),
        stale=sum(entry["stale"] for entry in entries),
        transfers=_transfers(entries),
        sections=sections(results),
        budgets=sorted({entry["provenance"]["budget"] for entry in entries if entry["provenance"].get("budget")}),
    )
    with whole(out) as part:
        part.write_text(page, encoding="utf-8")
    return out


def _template() -> Any:
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    env.filters |= {
        "statement": statement, "prose": prose, "number": number, "compact": compact, "within": within,
        "differences": differences,
    }  # fmt: skip
    return env.get_template("report.html.j2")


def _entry(results: Path, claim: Claim, stale: bool, damage: str | None) -> dict[str, Any]:
    """What the page says of one claim: its words from the Claim, what was found from the record."""
    entry: dict[str, Any] = {
        "id": claim.id, "section": claim.section, "title": claim.title, "statement": claim.statement,
        "source": claim.source, "scope": claim.scope, "corrected_by": claim.corrected_by, "explains": claim.explains,
        "untestable": claim.untestable, "verdict": "open", "reason": "not run", "proved": False, "stale": False,
        "assumptions": {
            "stated": [{"name": a.name, "says": a.says} for a in claim.states],
            "needed": [{"name": a.name, "says": a.says} for a in claim.needs],
        },
        "proof": [], "counterexample": None, "evidence": [], "controls": [], "transfer": None, "picture": None,
        "provenance": {}, "figure": None, "alt": "", "asks": claim.transfer is not None, "base": claim.base.to_dict(),
        "command": f"noncollapse verify {claim.id}", "run": False,
    }  # fmt: skip
    if not (results / claim.id / "record.json").is_file():
        return entry
    if damage is not None:
        return entry | {"verdict": "error", "reason": damage}
    try:
        record = read_record(results, claim.id)
    except UnreadableRecord as error:
        return entry | {"verdict": "error", "reason": str(error)}
    if record["verdict"] not in VERDICTS:
        reason = (
            f"the record's verdict {record['verdict']!r} is none of {', '.join(VERDICTS)}: {verify_remedy(claim.id)}"
        )
        return entry | {"verdict": "error", "reason": reason}
    found = {key: record[key] for key in entry if key in record}
    entry |= {"reason": ""} | found | {"id": claim.id, "stale": stale, "run": True}
    if entry["picture"] or entry["evidence"]:
        entry["figure"] = image(results / claim.id / "picture")
        entry["alt"] = _alt(entry)
    return entry


def _alt(entry: Mapping[str, Any]) -> str:
    """What the picture shows, for those who do not see it."""
    picture = entry["picture"]
    if not picture:
        return f"Residual over tolerance of every reading and control. Verdict: {entry['verdict']}."
    rungs = ", ".join(picture["rungs"])
    where = "at the counterexample" if picture["counterexample"] else "at a setting of the search"
    return f"{picture['ylabel']} against {picture['xlabel']} {where}; curves of {rungs}. Verdict: {entry['verdict']}."


def _transfers(entries: Sequence[Mapping[str, Any]]) -> str:
    """How many deep networks did what: an outcome ends in s ("follows") where it is said of one network."""
    counts = Counter(entry["transfer"]["outcome"] for entry in entries if entry["transfer"])
    return ", ".join(f"{n} {outcome if n == 1 else outcome.removesuffix('s')}" for outcome, n in counts.items())


def number(value: Any) -> str:
    """Three significant digits; a number that is not finite says so."""
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e+") if isinstance(value, (int, float)) else str(value)


def compact(setting: Any) -> str:
    """A Setting as the JSON that `--setting` takes."""
    return json.dumps(setting, ensure_ascii=False)


def differences(setting: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """In words, what a Setting changes of the claim's base Setting."""
    flat, usual = _flat(setting), _flat(base)
    changes = [f"{path} = {json.dumps(value)}" for path, value in flat.items() if usual.get(path, ...) != value]
    return "; ".join(changes) if changes else "the claim's base Setting"


def _flat(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted paths of a Setting; tuples as the lists that JSON makes of them."""
    out: dict[str, Any] = {}
    for name, part in setting.items():
        values = {f"{name}.{key}": value for key, value in part.items()} if isinstance(part, Mapping) else {name: part}
        out |= {path: list(value) if isinstance(value, tuple) else value for path, value in values.items()}
    return out


def within(residual: float, tolerance: float) -> bool:
    """Does the claim pass? Asked of a counterexample that does not say so itself."""
    return residual <= tolerance
