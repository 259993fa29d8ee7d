"""What `verify` runs and what it finds fresh: stale records, budgets, seeds, interrupts, errors, several processes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_cases import DONE, ONE, Cli, files

from derivations.registry import CLAIMS
from noncollapse import drawing, engine, records, verify
from noncollapse.engine import Engine
from noncollapse.ladder import Climb, climb


def test_one_rung_keeps_the_whole_record(say: Cli, results: Path) -> None:
    whole = records.load(results, ONE)
    assert whole is not None
    assert say("verify", ONE, "--rung", "proof", "-j", "1", "--results", results).code == 0
    found = records.load(results, ONE)
    assert found is not None
    assert (found["verdict"], found["evidence"]) == (whole["verdict"], whole["evidence"])


def counted(monkeypatch: pytest.MonkeyPatch, fail_at: int = 0, error: type[BaseException] = KeyboardInterrupt) -> list:
    """The ids that are climbed from now on; the `fail_at`-th climb (from 1) raises instead."""
    seen: list[str] = []

    def watched(claim, *args, **kwargs) -> Climb:
        seen.append(claim.id)
        if len(seen) == fail_at:
            raise error("stopped here")
        return climb(claim, *args, **kwargs)

    monkeypatch.setattr(verify, "climb", watched)
    return seen


def test_fresh_records_are_not_made_again(say: Cli, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, before = counted(monkeypatch), files(results)
    assert say("verify", *DONE, "-j", "1", "--results", results).code == 0
    assert seen == []
    assert files(results) == before
    assert say("verify", ONE, "--force", "-j", "1", "--results", results).code == 0
    assert seen == [ONE]
    assert files(results)[f"{ONE}/record.json"] != before[f"{ONE}/record.json"]


def test_a_larger_budget_is_run_and_serves_a_smaller(say: Cli, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    assert say("verify", ONE, "--budget", "standard", "-j", "1", "--results", results).code == 0
    assert say("verify", ONE, "--budget", "quick", "-j", "1", "--results", results).code == 0
    assert seen == [ONE]
    record = records.load(results, ONE)
    assert record is not None
    assert record["provenance"]["budget"] == "standard"


def test_another_seed_is_another_run(say: Cli, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    for seed, runs in (("7", 1), ("7", 1), ("0", 2)):
        assert say("verify", ONE, "--seed", seed, "-j", "1", "--results", results).code == 0
        assert len(seen) == runs, "the same seed finds its own record fresh"
        record = records.load(results, ONE)
        assert record is not None
        made = record["provenance"]
        assert made["seed"] == int(seed)
        assert made["command"].endswith("--seed 7" if seed == "7" else "--budget quick"), "it makes this record again"


def test_a_partial_record_is_not_fresh(say: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    for rung in (("--rung", "exact"), ()):
        assert say("verify", ONE, *rung, "-j", "1", "--results", tmp_path / "new").code == 0
    assert seen == [ONE, ONE]


def test_stale_records_are_shown_as_stale(say: Cli, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "stale" not in say("list", "--results", results).out
    monkeypatch.setattr(records, "sources_hash", lambda claim_id: "0" * 16)
    listed = say("list", "--results", results).out
    assert "verified*" in listed
    assert "* stale: the sources changed" in listed
    assert "[stale]" in say("show", ONE, "--results", results).out
    rows = json.loads(say("list", "--json", "--results", results).out)
    assert [r["id"] for r in rows if r["stale"]] == [i for i in CLAIMS if i in DONE]
    seen = counted(monkeypatch)
    assert say("verify", ONE, "-j", "1", "--results", results).code == 0
    assert seen == [ONE]
    assert "[stale]" not in say("show", ONE, "--results", results).out


def test_an_interrupted_run_resumes(say: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, ids = tmp_path / "new", (ONE, "collapse-entropy", "noise-information")
    counted(monkeypatch, fail_at=2)
    said = say("verify", *ids, "-j", "1", "--results", place)
    assert said.code == 130
    assert said.err.splitlines()[-1].startswith("noncollapse: interrupted")
    kept = files(place)
    assert list(kept) == [f"{ONE}/record.json"], "the finished claim stays, nothing half written lies about"
    seen = counted(monkeypatch)
    assert say("verify", *ids, "-j", "1", "--results", place).code == 0
    assert seen == list(ids[1:])
    assert files(place).items() >= kept.items()


class Odd(Exception):
    """One that nobody expects."""


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [(ArithmeticError, ""), (ValueError, ""), (RuntimeError, ""), (KeyError, "KeyError: "), (Odd, "Odd: "),
     (StopIteration, "StopIteration: "), (SystemExit, "SystemExit: ")],
)  # fmt: skip
def test_an_error_in_one_claim_stops_no_other(
    error: type[BaseException], kind: str, jobs: str, say: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what was raised, and where."""
    line = counted.__code__.co_firstlineno + 7

    def failing(claim, *args, **kwargs) -> Climb:
        if claim.id == ONE:
            return watched(claim, *args, **kwargs)
        return climb(claim, *args, **kwargs)

    counted(monkeypatch, fail_at=1, error=error)
    watched = verify.climb
    monkeypatch.setattr(verify, "climb", failing)
    said = say("verify", ONE, "collapse-entropy", "-j", jobs, "--publish", "--results", tmp_path / "new")
    assert said.code == 1
    assert re.search(rf"noncollapse: {ONE}: {kind}'?stopped here'? \(test_cli_resume.py:{line}\)$", said.err, re.M)
    assert records.load(tmp_path / "new", "collapse-entropy") is not None
    assert records.load(tmp_path / "new", ONE) is None


def test_no_more_processes_start_than_there_is_work(say: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def processes(jobs: int | None = None, method: str = "spawn") -> Engine:
        asked.append(jobs)
        return engine.processes(jobs, method)

    for module in (verify, drawing):
        monkeypatch.setattr(module, "processes", processes)
    ids = (ONE, "collapse-entropy")
    assert say("verify", *ids, "-j", "99999", "--results", tmp_path / "new").code == 0
    assert say("draw", *ids, "-j", "99999", "--results", tmp_path / "new").code == 0
    assert asked == [2, 2]


def test_two_processes_write_what_one_does(say: Cli, results: Path, tmp_path: Path) -> None:
    ids = (ONE, "collapse-entropy")
    assert say("verify", *ids, "-j", "2", "--results", tmp_path / "two").code == 0
    for claim_id in ids:
        one, two = records.load(results, claim_id), records.load(tmp_path / "two", claim_id)
        assert one is not None
        assert two is not None
        assert {k: v for k, v in one.items() if k != "provenance"} == {
            k: v for k, v in two.items() if k != "provenance"
        }
