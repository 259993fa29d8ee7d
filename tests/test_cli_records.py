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
    }
    whole = {"truncated": text[:40], "empty": "", "a list": "[]", "null": "null"}
    return whole[kind] if kind in whole else json.dumps(record | changed[kind])


DAMAGED = ("truncated", "empty", "a list", "null", "no provenance", "of another claim", "a reading without its key",
           "a reading that is no number", "a tolerance that is a word", "a control that is infinite",
           "evidence that is no list", "a proof of words", "a counterexample without Setting")  # fmt: skip


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
