"""Records that cannot be read: named, and written anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_cases import DONE, ONE, Cli, files, one_sentence

from noncollapse import records


def damaged(text: str, kind: str) -> str:
    """A whole record's text, damaged in one way."""
    record = json.loads(text)
    first, control = record["evidence"][0], record["controls"][0]
    changed: dict[str, dict] = {
        "no provenance": {"provenance": None},
        "of another claim": {"claim": "x"},
        "a reading without its key": {"evidence": [{k: v for k, v in first.items() if k != "under"}]},
        "a reading that is no number": {"evidence": [first | {"residual": float("nan")}]},
        "a tolerance that is a word": {"evidence": [first | {"tolerance": "small"}]},
        "a control that is infinite": {"controls": [control | {"residual": float("inf")}]},
        "evidence that is no list": {"evidence": {"flow": first}},
        "a proof of words": {"proof": ["trust me"]},
        "a counterexample without Setting": {"counterexample": {"rung": "flow"}},
        "a confirmation that is a number": {"counterexample": COUNTER | {"confirmed": [1]}},
        "no assumptions": {"assumptions": None},
        "assumptions that are words": {"assumptions": {"stated": ["x"], "needed": []}},
        "a picture that is a word": {"picture": "x"},
        "a title that is a number": {"title": 1},
        "a correction that is a list": {"corrected_by": []},
    }
    whole = {"truncated": text[:40], "empty": "", "a list": "[]", "null": "null", "brackets": "[" * 100_000}
    return whole[kind] if kind in whole else json.dumps(record | changed[kind])


DAMAGED = ("truncated", "empty", "a list", "null", "no provenance", "of another claim", "a reading without its key",
           "a reading that is no number", "a tolerance that is a word", "a control that is infinite",
           "evidence that is no list", "a proof of words", "a counterexample without Setting", "a confirmation that is a number",
           "no assumptions", "assumptions that are words", "a picture that is a word", "a title that is a number",
           "a correction that is a list", "brackets")  # fmt: skip
COUNTER = {"setting": {}, "rung": "exact", "residual": 1.0, "tolerance": 0.1}


@pytest.mark.parametrize("kind", DAMAGED)
def test_an_unreadable_record(kind: str, say: Cli, results: Path) -> None:
    path = results / ONE / "record.json"
    path.write_text(damaged(path.read_text(), kind))
    broken, others = path.read_text(), files(results / DONE[1])
    sentence = f"noncollapse: {path} is not a readable record: `noncollapse verify {ONE}` writes it anew\n"
    one_sentence(say("show", ONE, "--results", results), sentence.strip())
    for as_json in ((), ("--json",)):
        said = say("list", *as_json, "--results", results)
        assert (said.code, said.err) == (0, sentence), "the others are listed all the same"
        assert said.out.count("unreadable ") == 1 or as_json
    verdicts = {r["id"]: r["verdict"] for r in json.loads(said.out)}
    assert [verdicts[i] for i in DONE] == ["unreadable", "conditional", "verified"]
    assert path.read_text() == broken, "reading changes nothing"
    assert say("show", DONE[1], "--results", results).code == 0, "the other claims can still be read"
    said = say("report", "--results", results)
    assert said.code == 0
    assert f"{ONE}` writes it anew" in (results / "report.html").read_text(), "the page says what to do"
    assert say("verify", *DONE, "-j", "1", "--results", results).code == 0
    record = records.load(results, ONE)
    assert record is not None
    assert record["verdict"] == "verified"
    assert files(results / DONE[1]) == others


@pytest.mark.parametrize("damage", ["gone", "empty", "torn"])
def test_a_trace_that_cannot_be_read_is_written_anew(damage: str, say: Cli, results: Path) -> None:
    """Else drawing says to verify, and verifying finds nothing to do."""
    trace = results / DONE[2] / "trace.npz"
    whole = trace.read_bytes()
    trace.unlink()
    if damage != "gone":
        trace.write_bytes(b"" if damage == "empty" else whole[:100] + bytes(100) + whole[200:])
    assert say("draw", DONE[2], "-j", "1", "--results", results).code == 1
    assert say("verify", DONE[2], "-j", "1", "--results", results).code == 0
    assert say("draw", DONE[2], "-j", "1", "--results", results).code == 0
