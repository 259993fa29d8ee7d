"""The command line: every verb with good and with bad input, resumption, the ledger. Cheap claims, one process."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from derivations.registry import CLAIMS
from noncollapse import cli, ledger, records, verify
from noncollapse.ladder import Climb, climb

DONE = ("unit-vector-identity", "collapse-entropy", "invariance-flow")  # verified, conditional, and one with a picture
VERBS = tuple(cli.VERBS)
ONE = DONE[0]
AT = '{"views": {"kind": "points"}, "objective": {"loss": "info_nce"}}'


class Said(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("computed")
    assert cli.main(["verify", *DONE, "--results", str(results), "-j", "1"]) == 0
    return results


@pytest.fixture
def results(computed: Path, tmp_path: Path) -> Path:
    """A copy of the computed records, times kept, for a test to change."""
    return Path(shutil.copytree(computed, tmp_path / "results"))


@pytest.fixture(autouse=True)
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of the test's own: the committed one is neither read nor written."""
    path = tmp_path / "ledger" / "ledger.json"
    monkeypatch.setattr(ledger, "read_ledger", partial(ledger.read_ledger, path=path))
    monkeypatch.setattr(ledger, "publish", partial(ledger.publish, path=path))
    return path


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*args: str | Path) -> Said:
        capsys.readouterr()
        try:
            code = cli.main([str(a) for a in args])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        return Said(code, *capsys.readouterr())

    return run


def files(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(root)): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(root.rglob("*")) if p.is_file()
    }


def one_sentence(said: Said, *words: str) -> None:
    """Exit 2 and one line on stderr that says all the words."""
    assert said.code == 2, said
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("noncollapse: ")
    assert "Traceback" not in said.err + said.out
    for word in words:
        assert word in lines[0]


# --- bad input --------------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no verb": ((), ("VERB", "--help")),
    "unknown verb": (("prove",), ("prove", "verify")),
    "extra word": (("list", "all"), ("all",)),
    "unknown option": (("report", "--pdf"), ("--pdf",)),
    "show without id": (("show",), ("ID", "show --help")),
    "show misspelt": (("show", "colapse-entropy"), ("did you mean collapse-entropy",)),
    "show far off": (("show", "qqqq"), ("noncollapse list",)),
    "verify misspelt": (("verify", ONE, "unit-vector-identty"), (f"did you mean {ONE}",)),
    "draw misspelt": (("draw", "invariance-flw"), ("did you mean invariance-flow",)),
    "budget": (("verify", ONE, "--budget", "huge"), ("huge", "quick", "standard", "full")),
    "rung": (("verify", ONE, "--rung", "stairs"), ("stairs", "exact")),
    "seed": (("verify", ONE, "--seed", "x"), ("--seed",)),
    "no process": (("verify", ONE, "-j", "0"), ("-j 0", "at least 1")),
    "negative processes": (("verify", ONE, "-j", "-2"), ("at least 1",)),
    "half a process": (("verify", ONE, "-j", "1.5"), ("1.5",)),
    "publish a part": (("verify", ONE, "--publish", "--rung", "exact"), ("--publish", "leave out --rung")),
    "setting without ids": (("verify", "--setting", AT), ("--setting", "name the claims")),
    "setting of an unknown id": (("verify", "qqqq", "--setting", AT), ("qqqq",)),
    "not JSON": (("verify", ONE, "--setting", "{eta: 1}"), ("not JSON", "write")),
    "a list": (("verify", ONE, "--setting", "[1]"), ("JSON object",)),
    "NaN": (("verify", "invariance-flow", "--setting", '{"training": {"eta": NaN}}'), ("training.eta", "finite")),
    "infinity": (("verify", "invariance-flow", "--setting", '{"network": {"w0": Infinity}}'), ("network.w0",)),
    "negative rate": (("verify", "invariance-flow", "--setting", '{"training": {"beta": -1}}'), ("training.beta", ">=")),
    "rate 0": (("verify", "invariance-flow", "--setting", '{"training": {"lr": 0}}'), ("training.lr", "> 0")),
    "negative variance": (("verify", "invariance-flow", "--setting", '{"views": {"noise": [-1, 1]}}'), ("views.noise", ">= 0")),
    "unknown key": (("verify", ONE, "--setting", '{"trainings": {}}'), ("trainings", "training")),
    "unknown field": (("verify", ONE, "--setting", '{"training": {"rate": 1}}'), ("training.rate", "eta")),
    "wrong type": (("verify", ONE, "--setting", '{"network": {"k": "two"}}'), ("network.k is 'two': give a",)),
    "unknown choice": (("verify", ONE, "--setting", '{"objective": {"loss": "l"}}'), ("objective.loss", "predictor")),
    "other views": (("verify", ONE, "--setting", '{"views": {"kind": "channel"}}'), ()),
    "unreadable rung": (("verify", ONE, "--setting", '{"views": {"kind": "gaussian"}}'), (ONE, "exact")),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_loses_nothing(name: str, say: Cli, results: Path, ledger_path: Path) -> None:
    args, words = BAD[name]
    before = files(results)
    said = say(*args, *(("--results", results) if args and name != "unknown verb" else ()))
    one_sentence(said, *words)
    assert files(results) == before
    assert not ledger_path.exists()


@pytest.mark.parametrize("verb", ["draw", "report"])
@pytest.mark.parametrize("as_file", [False, True])
def test_no_records_to_draw(verb: str, as_file: bool, say: Cli, tmp_path: Path) -> None:
    place = tmp_path / "absent"
    if as_file:
        place.write_text("a file")
    one_sentence(
        say(verb, "--results", place), str(place), "name a folder" if as_file else "noncollapse verify", "--results"
    )
    assert as_file == place.exists()


def test_results_that_cannot_be_written(say: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    one_sentence(say("verify", ONE, "-j", "1", "--results", tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "kept"


def test_errors_as_json(say: Cli, results: Path) -> None:
    said = say("show", "qqqq", "--json", "--results", results)
    one_sentence(said)
    assert "qqqq" in json.loads(said.out)["error"]
    said = say("verify", "--rung", "qqqq", "--json", "--results", results)
    one_sentence(said)
    assert "qqqq" in json.loads(said.out)["error"]


def test_assumptions_of_other_views(say: Cli, results: Path) -> None:
    one_sentence(say("verify", "byol-fixed-point", "--setting", '{"views": {"kind": "points"}}', "--results", results))


def test_kind_of_views_that_is_a_list(say: Cli, results: Path) -> None:
    one_sentence(say("verify", ONE, "--setting", '{"views": {"kind": ["points"]}}', "--results", results))


@pytest.mark.parametrize("ids", [(), (ONE,)])
def test_draw_in_no_process(ids: tuple[str, ...], say: Cli, results: Path) -> None:
    one_sentence(say("draw", *ids, "-j", "0", "--results", results), "at least 1")


def test_publish_into_a_damaged_ledger(say: Cli, results: Path, ledger_path: Path) -> None:
    ledger_path.parent.mkdir()
    ledger_path.write_text('{"verdicts": ')
    one_sentence(say("verify", ONE, "--publish", "-j", "1", "--results", results), "ledger", "restore")


def test_one_rung_keeps_the_whole_record(say: Cli, results: Path) -> None:
    whole = records.load(results, ONE)
    assert whole is not None
    assert say("verify", ONE, "--rung", "proof", "-j", "1", "--results", results).code == 0
    found = records.load(results, ONE)
    assert found is not None
    assert (found["verdict"], found["evidence"]) == (whole["verdict"], whole["evidence"])


def test_the_deep_rung_alone_says_what_deep_networks_did(say: Cli, results: Path) -> None:
    words = ("verify", "tian-theorem3", ONE, "--rung", "deep", "-j", "1", "--results", results)
    lines = say(*words).out.splitlines()
    assert lines[0] == "tian-theorem3 (only deep; no verdict)"
    assert re.fullmatch(
        r"  deep: the normalised commutator .*: \S+ ± \S+ \(n = \d+\): (follows|departs|undecided)", lines[1]
    )
    assert lines[2:] == [f"{ONE} (only deep; no verdict)", "  this rung asks nothing of it"]
    (first, _) = json.loads(say(*words, "--json").out)["partial"]
    assert first["transfer"]["outcome"] in lines[1] and first["verdict"] == "open"


def test_a_closed_pipe_is_no_error(say: Cli, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("noncollapse.text.rows", closed)
    assert say("list", "--results", results) == Said(0, "", "")


def test_setting_on_a_rung_that_the_claim_lacks(say: Cli, results: Path) -> None:
    one_sentence(say("verify", ONE, "--setting", AT, "--rung", "sgd", "--results", results))


def test_list_of_a_file(say: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one_sentence(say("list", "--results", tmp_path / "file"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_overflowing_norm_does_not_pass(say: Cli, results: Path) -> None:
    at = '{"objective": {"loss": "invariance"}, "network": {"w0": 1e200}}'
    said = say("verify", "invariance-flow", "--setting", at, "--rung", "flow", "--json", "--results", results)
    assert said.code == 2 or not json.loads(said.out)[0]["ok"]


# --- unreadable records -----------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_folder_in_a_record_s_place_costs_no_other_claim(jobs: str, say: Cli, tmp_path: Path) -> None:
    (tmp_path / "new" / ONE / "record.json" / "inside").mkdir(parents=True)
    said = say("verify", ONE, "collapse-entropy", "-j", jobs, "--results", tmp_path / "new")
    assert said.code == 1
    assert (
        f"{ONE}: {tmp_path / 'new' / ONE / 'record.json'} is a folder, where a record must go: move it away" in said.err
    )
    assert "Errno" not in said.err
    assert records.load(tmp_path / "new", "collapse-entropy") is not None
    assert not list((tmp_path / "new").rglob("*.part")), "nothing half written lies about"


@pytest.mark.parametrize("words", [("verify", ONE, "-j", "1"), ("verify", ONE, "-j", "2"),
                                   ("sweep", "invariance-flow", "--over", "seed=0,1"), ("train", "simclr"), ("phase",)])  # fmt: skip
def test_a_folder_that_cannot_be_made_is_said_before_anything_is_computed(
    words: tuple[str, ...], say: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "run_all", lambda *_: pytest.fail("computed"))
    monkeypatch.setattr("noncollapse.diagram.compute", lambda *_: pytest.fail("computed"))
    one_sentence(say(*words, "--results", "/proc/none"), "--results /proc/none cannot be made", "name a folder")


# --- machine-readable output ------------------------------------------------------------------------------------------

LISTED = {"id", "section", "title", "verdict", "corrected_by", "proved", "transfer"}
SHOWN = LISTED | {"statement", "source", "assumptions", "proof", "counterexample", "evidence"}


def test_list_as_json(say: Cli, results: Path) -> None:
    said = say("list", "--json", "--results", results)
    assert (said.code, said.err) == (0, "")
    rows = json.loads(said.out)
    assert [r["id"] for r in rows] == list(CLAIMS)
    for row in rows:
        assert set(row) >= LISTED
        assert isinstance(row["proved"], bool)
        assert row["corrected_by"] is None or row["corrected_by"] in CLAIMS
        assert row["verdict"] != "open" or row["id"] not in DONE
    verdicts = {r["id"]: r["verdict"] for r in rows}
    assert [verdicts[i] for i in DONE] == ["verified", "conditional", "verified"]


def test_show_says_scope_and_what_is_not_proved(say: Cli, results: Path) -> None:
    shown = say("show", "collapse-entropy", "--results", results).out  # conditional, without a proof
    assert "CONDITIONAL (not proved)" in shown.splitlines()[0]
    shown = say("show", "invariance-flow", "--results", results).out
    assert "not proved" not in shown
    assert f"scope:  {CLAIMS['invariance-flow'].scope}" in shown
    assert "  verdict: proved, and no counterexample found\n" in shown
    controls = [line for line in shown.splitlines() if line.startswith("  control")]
    assert controls and all(line.endswith("fails, as it should") for line in controls)


@pytest.mark.parametrize("claim_id", [*DONE, "other-difficulties", "byol-fixed-point"])
def test_show_as_json(claim_id: str, say: Cli, results: Path) -> None:
    said = say("show", claim_id, "--json", "--results", results)
    assert (said.code, said.err) == (0, "")
    shown, claim = json.loads(said.out), CLAIMS[claim_id]
    assert set(shown) >= SHOWN
    assert (shown["id"], shown["statement"], shown["source"]) == (claim.id, claim.statement, claim.source)
    assert [a["name"] for a in shown["assumptions"]["stated"]] == [a.name for a in claim.states]
    assert [a["name"] for a in shown["assumptions"]["needed"]] == [a.name for a in claim.needs]
    assert len(shown["proof"]) == len(claim.proof)
    assert (shown["counterexample"] is not None) == (shown["verdict"] in ("conditional", "refuted"))
    assert bool(shown["evidence"]) == (claim_id in DONE)


def test_other_verbs_as_json(say: Cli, results: Path) -> None:
    verified = json.loads(say("verify", *DONE, "-j", "1", "--json", "--results", results).out)
    assert [c["id"] for c in verified["claims"]] == list(DONE)
    assert verified["differences"] == verified["errors"] == []
    (at,) = json.loads(say("verify", ONE, "--setting", AT, "--json", "--results", results).out)
    assert (at["claim"], at["rung"], at["ok"], at["assumptions_unmet"]) == (ONE, "exact", True, [])
    drawn = json.loads(say("draw", "invariance-flow", "-j", "1", "--json", "--results", results).out)
    assert drawn["errors"] == []
    assert len(drawn["figures"]) == 1
    assert all(Path(p).stat().st_size for p in drawn["figures"])
    report = json.loads(say("report", "--json", "--results", results).out)
    assert ONE in Path(report["report"]).read_text()


def test_figures_drawn_side_by_side_are_those_drawn_in_turn(say: Cli, results: Path) -> None:
    (results / DONE[1] / "record.json").write_text("{}")
    by_jobs = []
    for jobs in ("1", "2"):
        said = say("draw", *DONE, "-j", jobs, "--json", "--results", results)
        drawn = json.loads(said.out)
        assert said.code == 1, "one record cannot be read"
        assert [Path(f).parent.name for f in drawn["figures"]] == [DONE[0], DONE[2]], "in the order of the claims"
        assert all(Path(f).stat().st_size for f in drawn["figures"])
        assert len(drawn["errors"]) == 1
        assert DONE[1] in drawn["errors"][0]
        by_jobs.append(drawn)
        for f in drawn["figures"]:
            Path(f).unlink()
    assert by_jobs[0] == by_jobs[1]


def test_a_claim_read_by_people(say: Cli, results: Path) -> None:
    said = say("show", "collapse-entropy", "--results", results)
    for word in ("CONDITIONAL", "needs:", "counterexample:", "control", "residual"):
        assert word in said.out
    listed = say("list", "--results", results).out
    assert all(i in listed for i in CLAIMS)
    assert "nothing ran yet" not in listed
    assert "nothing ran yet" in say("list", "--results", results / "none").out


def test_at_one_setting_no_record_is_written(say: Cli, results: Path) -> None:
    before = files(results)
    assert "holds" in say("verify", ONE, "--setting", AT, "--results", results).out
    outside = '{"views": {"kind": "channel"}, "objective": {"loss": "information", "entropy": "differential"}}'
    said = say("verify", "collapse-entropy", "--setting", outside, "--results", results)
    assert "fails" in said.out
    assert f"outside: {CLAIMS['collapse-entropy'].needs[0].name}" in said.out
    assert files(results) == before


# --- fresh, stale, interrupted ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("error", [ArithmeticError, ValueError, RuntimeError])
def test_an_error_in_one_claim_stops_no_other(
    error: type[Exception], say: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(monkeypatch, fail_at=1, error=error)
    said = say("verify", ONE, "collapse-entropy", "-j", "1", "--publish", "--results", tmp_path / "new")
    assert said.code == 1
    assert f"noncollapse: {ONE}: stopped here" in said.err
    assert records.load(tmp_path / "new", "collapse-entropy") is not None
    assert records.load(tmp_path / "new", ONE) is None


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


# --- the ledger -------------------------------------------------------------------------------------------------------


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


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_shows_examples(verb: str, say: Cli) -> None:
    said = say(verb, "--help")
    assert (said.code, said.err) == (0, "")
    assert "examples:" in said.out
    examples = [line.strip() for line in said.out.splitlines() if line.startswith("  noncollapse ")]
    assert examples
    for line in examples:
        words = shlex.split(line)
        args = cli.parser(words[1:]).parse_args(words[1:])
        assert args.verb == verb
        assert {getattr(args, "id", None), *getattr(args, "ids", [])} <= {None, *CLAIMS}
    assert "exit codes" in said.out


def test_help_lists_the_verbs(say: Cli) -> None:
    said = say("--help")
    assert said.code == 0
    assert all(verb in said.out for verb in VERBS)


def test_the_default_number_of_processes_is_the_cores() -> None:
    assert cli.parser(["verify"]).parse_args(["verify"]).jobs == os.cpu_count()


# --- output, and what may stand before the verb -----------------------------------------------------------------------


def shell(*words: str | Path, **changes: str) -> list[str]:
    return ["bash", "-c", shlex.join([sys.executable, "-m", "noncollapse", *map(str, words)]) + changes.pop("then", "")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize("verb", [("list",), ("show", ONE)])
def test_a_full_disk_is_one_sentence(verb: tuple[str, ...], as_json: tuple[str, ...]) -> None:
    """Short output fails only when it is flushed, long output while it is printed."""
    done = subprocess.run(shell(*verb, *as_json, then=" > /dev/full"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "noncollapse: [Errno 28] No space left on device\n")


def test_a_closed_pipe_says_nothing_at_its_end() -> None:
    done = subprocess.run(
        shell("list", "--json", then=" | head -c 1; exit ${PIPESTATUS[0]}"), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[", "")


def test_a_terminal_without_unicode_is_no_error(results: Path) -> None:
    words = [sys.executable, "-m", "noncollapse", "show", "byol-fixed-point", "--results", str(results)]
    done = subprocess.run(
        words, capture_output=True, text=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u" in done.stdout


def test_the_version_is_that_of_the_package(say: Cli) -> None:
    metadata = tomllib.loads((Path(cli.__file__).parent.parent / "pyproject.toml").read_text())
    assert say("--version") == Said(0, metadata["project"]["version"] + "\n", "")


@pytest.mark.parametrize("before", [0, 1, 3])
def test_what_every_verb_takes_may_stand_before_it(before: int, say: Cli, results: Path) -> None:
    common = ["--json", "--results", results]
    rows = json.loads(say(*common[:before], "list", *common[before:]).out)
    assert {r["id"] for r in rows if r["verdict"] != "open"} == set(DONE)


def test_a_folder_named_as_a_verb_is_no_verb(say: Cli, results: Path) -> None:
    assert cli.parser(["--results", "train", "list"]).parse_args(["--results", "train", "list"]).verb == "list"
    one_sentence(say("--results", results), "VERB")
    one_sentence(say("--res", results, "list"), "VERB")


def test_results_under_a_file(say: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for words in (("verify", ONE), ("list",), ("sweep", ONE, "--over", "seed=0,1"), ("train", "simclr"), ("phase",)):
        said = say(*words, "--results", tmp_path / "file" / "sub" / "results")
        one_sentence(said, str(tmp_path / "file"), "is a file: name a folder")


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 9 GiB"), RuntimeError("CUDA out of memory. Tried 9 GiB")]
)
def test_a_full_memory_is_one_sentence(error: Exception, say: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("noncollapse.text.rows", full)
    one_sentence(say("list"), "memory is too small", "9 GiB", "smaller")
    error.args = ("shapes differ",)
    if isinstance(error, RuntimeError):  # a fault of the code keeps its traceback
        with pytest.raises(RuntimeError, match="shapes differ"):
            cli.main(["list"])


# --- a module of one's own that cannot be loaded ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, ("registry.py:", "No module named 'derivations.mine'")),
        ("CLAIMS = (", ("mine.py:1", "SyntaxError")),
        ("\nCLAIMS = (Claim(),)", ("mine.py:2", "NameError", "'Claim' is not defined")),
        ("", ("registry.py:", "no attribute 'CLAIMS'")),
        (
            "from derivations.claim import Claim\nCLAIMS = (Claim('mine', '', '', '', '', rungs=('flow', 'sdg')),)",
            ("mine.py:2", "mine speaks of a rung 'sdg'", "name some of exact, flow, descent, sgd"),
        ),
        (
            "from derivations.assumption import Assumption\nODD = Assumption('odd', '', {'views.noise': ((0.1, 0.1), (0.2,))})",
            (
                "mine.py:2",
                "assumption 'odd': choices of views.noise have 1 and 2 eigenvalues",
                "give all as many, or a Spectrum",
            ),
        ),
        ("from derivations.invariance import CLAIMS", ("invariance.py has a claim", "as has mine.py", "another id")),
    ],
)
def test_a_registered_module_that_cannot_be_loaded_is_named(
    text: str | None, says: tuple[str, ...], tmp_path: Path
) -> None:
    """In a copy of the rooms that a list of claims needs."""
    for room in ("dynamics", "derivations", "noncollapse"):
        shutil.copytree(Path(cli.__file__).parent.parent / room, tmp_path / room)
    registry = tmp_path / "derivations" / "registry.py"
    registry.write_text(registry.read_text().replace("MODULES_OF_CLAIMS = (", 'MODULES_OF_CLAIMS = (\n    "mine",'))
    if text is not None:
        (tmp_path / "derivations" / "mine.py").write_text(text)
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    for verb in (("list",), ("show", ONE)):
        done = subprocess.run(
            [sys.executable, "-m", "noncollapse", *verb], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        one_sentence(
            Said(done.returncode, done.stdout, done.stderr), *says, "take its name out of derivations/registry.py"
        )
