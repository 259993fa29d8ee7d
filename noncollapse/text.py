"""A claim as a row of a table and as lines for a terminal, from its record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from noncollapse import ledger, records
from noncollapse.catalogue import Entry, catalogue
from noncollapse.errors import RecordError


def rows(results: Path, ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One row a claim: of those named, in that order, or of all in the order of the report."""
    published, entries = ledger.read_ledger(), {e.id: e for e in catalogue()}
    return [_row(entries[i], results, published.get(i)) for i in (entries if ids is None else ids)]


def _row(claim: Entry, results: Path, published: str | None) -> dict[str, Any]:
    """A record that cannot be read is one row that says so, and costs no other."""
    record, unreadable = None, None
    try:
        record = records.load(results, claim.id)
    except RecordError as error:
        unreadable = str(error)
    transfer = record.get("transfer") if record else None
    return {
        "id": claim.id, "section": claim.section, "title": claim.title,
        "verdict": record["verdict"] if record else "unreadable" if unreadable else "open", "published": published,
        "corrected_by": claim.corrected_by, "untestable": claim.untestable, "proved": bool(record and record.get("proved")),
        "transfer": transfer["outcome"] if transfer else None,
        "stale": bool(record and records.is_stale(record)), "budget": record["provenance"]["budget"] if record else None,
        "unreadable": unreadable,
    }  # fmt: skip


def word(row: dict[str, Any]) -> str:
    """The verdict for people. A line of the note that states nothing is open for ever, and no claim."""
    return "no claim" if row["untestable"] else row["verdict"]


def page(d: dict[str, Any]) -> list[str]:
    """A claim as lines for a terminal."""
    unproved = " (not proved)" if d["verdict"] == "conditional" and not d["proved"] else ""
    head = f"{d['id']}  ({d['section']})  {word(d).upper()}{unproved}" + ("  [stale]" if d["stale"] else "")
    out = [head, f"  {d['title']}", *([f"  {d['statement']}"] if d["statement"] else []), f"  source: {d['source']}"]
    out += [f"  verdict: {d['reason']}"] if d["reason"] and not d["untestable"] else []
    out += [f"  states: {a['says']}" for a in d["assumptions"]["stated"]]
    out += [f"  needs:  {a['says']}" for a in d["assumptions"]["needed"]]
    out += [f"  scope:  {d['scope']}"] if d["scope"] else []
    out += [f"  why: {d[key]}" for key in ("explains", "untestable") if d[key]]
    if d["corrected_by"]:
        out.append(f"  corrected by: {d['corrected_by']}")
    out += evidence_lines(d["proof"], d["evidence"])
    for c in d["controls"]:
        found = ("fails" if c["failed"] else "passes") + (
            ", as it should" if c["as_it_should"] else ", which it should not"
        )
        out.append(f"  control  {c['name']}: residual {c['residual']:.2e} vs {c['tolerance']:.1e}, {found}")
    if d["counterexample"]:
        out.append(f"  counterexample: {json.dumps(d['counterexample']['setting'])}")
    return out + deep_lines(d["transfer_detail"])


def deep_lines(transfer: dict[str, Any] | None) -> list[str]:
    """What a record says of deep networks: one line, or none where they were not asked."""
    if transfer is None:
        return []
    t = transfer
    return [f"  deep: {t['says']}: {t['mean']:.3g} ± {t['se']:.2g} (n = {t['n']}): {t['outcome']}"]


def evidence_lines(proof: Sequence[dict[str, Any]], evidence: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each proof step, then one for each reading."""
    out = []
    for s in proof:
        note = f"  ({s['note']})" if s.get("note") else ""
        out.append(f"  proof {'ok ' if s.get('proved') else '?  '} {s['says']}{note}")
    for e in evidence:
        out.append(f"  {e['rung']:<8} {e['under']:<7} {e['settings']:>4} settings  residual {e['residual']:.2e} vs "
                   f"{e['tolerance']:.1e}  {'ok' if e['ok'] else 'FAILS'}  ({e['law']})")  # fmt: skip
    return out
