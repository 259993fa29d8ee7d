"""What the verbs say, to people and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_cases import AT, DONE, ONE, Cli, files

from derivations.registry import CLAIMS
from noncollapse.text import page


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
    shown = say("show", "collapse-entropy", "--results", results).out  # conditional, with a proof
    assert shown.splitlines()[0].endswith("CONDITIONAL")
    data = json.loads(say("show", "collapse-entropy", "--json", "--results", results).out)
    assert page(data | {"proved": False})[0].endswith("CONDITIONAL (not proved)")
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


def test_a_line_of_the_note_that_states_nothing_is_no_open_claim(say: Cli, results: Path, tmp_path: Path) -> None:
    (listed,) = (x for x in say("list", "--results", results).out.splitlines() if " other-difficulties " in x)
    assert re.match(r"no claim +- +other-difficulties ", listed)
    shown = say("show", "other-difficulties", "--results", results).out
    assert shown.splitlines()[0].endswith("NO CLAIM") and "verdict:" not in shown
    assert f"why: {CLAIMS['other-difficulties'].untestable}" in shown
    assert say("verify", "other-difficulties", "-j", "1", "--results", tmp_path / "new").out.startswith("no claim ")


def test_at_one_setting_no_record_is_written(say: Cli, results: Path) -> None:
    before = files(results)
    assert "holds" in say("verify", ONE, "--setting", AT, "--results", results).out
    outside = '{"views": {"kind": "channel"}, "objective": {"loss": "information", "entropy": "differential"}}'
    said = say("verify", "collapse-entropy", "--setting", outside, "--results", results)
    assert "fails" in said.out
    assert f"outside: {CLAIMS['collapse-entropy'].needs[0].name}" in said.out
    assert files(results) == before
