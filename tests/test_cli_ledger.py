"""The command line and the ledger: differences, publishing, damage."""

from __future__ import annotations

import inspect
import json
from functools import partial
from pathlib import Path

import pytest
from cli_cases import DONE, ONE, Cli, files, one_sentence

from noncollapse import ledger


def test_publish_into_a_damaged_ledger(say: Cli, results: Path, ledger_path: Path) -> None:
    ledger_path.parent.mkdir()
    ledger_path.write_text('{"verdicts": ')
    one_sentence(say("verify", ONE, "--publish", "-j", "1", "--results", results), "ledger", "restore")


def test_a_verdict_that_differs_from_the_ledger(say: Cli, results: Path, ledger_path: Path) -> None:
    assert say("verify", *DONE, "-j", "1", "--results", results).code == 0, "nothing published, nothing differs"
    assert say("verify", *DONE, "--publish", "-j", "1", "--results", results).code == 0
    assert say("verify", *DONE, "-j", "1", "--results", results).code == 0
    entries = json.loads(ledger_path.read_text())
    entries["verdicts"][ONE]["verdict"] = "refuted"
    ledger_path.write_text(json.dumps(entries))
    said = say("verify", *DONE, "-j", "1", "--results", results)
    assert said.code == 1
    assert said.err == f"noncollapse: {ONE}: computed verified, the ledger says refuted\n"
    as_json = json.loads(say("verify", *DONE, "--json", "-j", "1", "--results", results).out)
    assert len(as_json["differences"]) == 1
    assert say("verify", DONE[1], "-j", "1", "--results", results).code == 0, "only what is asked is compared"


def test_an_error_verdict_is_exit_1_without_a_ledger(say: Cli, results: Path) -> None:
    path = results / ONE / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "verdict": "error", "reason": "a control passed"}))
    said = say("verify", ONE, "-j", "1", "--results", results)
    assert (said.code, said.err) == (1, f"noncollapse: {ONE}: a control passed\n")


def test_publish_writes_the_ledger_and_nothing_else(say: Cli, results: Path, ledger_path: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    assert say("verify", *DONE, "--publish", "-j", "1", "--results", results).code == 0
    after = files(tmp_path)
    assert set(after) - set(before) == {"ledger/ledger.json"}
    assert {k: after[k] for k in before} == before
    verdicts = json.loads(ledger_path.read_text())["verdicts"]
    assert list(verdicts) == sorted(DONE)
    assert {v["verdict"] for v in verdicts.values()} == {"verified", "conditional"}
    rows = json.loads(say("list", "--json", "--results", results).out)
    assert {r["id"] for r in rows if r["published"]} == set(DONE)
    say("verify", ONE, "--publish", "-j", "1", "--results", results)
    assert set(json.loads(ledger_path.read_text())["verdicts"]) == set(DONE), "publishing one keeps the others"


@pytest.mark.usefixtures("ledger_path")
def test_the_ledger_lies_with_the_code() -> None:
    assert Path(inspect.getfile(ledger)).with_name("ledger.json") == ledger.LEDGER
    for access in (ledger.publish, ledger.read_ledger):  # partials of the real ones, see ledger_path
        assert isinstance(access, partial)
        assert inspect.signature(access.func).parameters["path"].default == ledger.LEDGER


def test_a_damaged_ledger(say: Cli, results: Path, ledger_path: Path) -> None:
    ledger_path.parent.mkdir()
    ledger_path.write_text("[]")
    before = files(results)
    for verb in (("list",), ("show", ONE), ("verify", ONE, "-j", "1")):
        one_sentence(say(*verb, "--results", results), str(ledger_path), "restore")
    assert files(results) == before
