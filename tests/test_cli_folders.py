"""Folders of records that are files, absent or in the way: one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_cases import ONE, Cli, one_sentence

from noncollapse import records, verify


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


def test_list_of_a_file(say: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one_sentence(say("list", "--results", tmp_path / "file"))


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


def test_results_under_a_file(say: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for words in (("verify", ONE), ("list",), ("sweep", ONE, "--over", "seed=0,1"), ("train", "simclr"), ("phase",)):
        said = say(*words, "--results", tmp_path / "file" / "sub" / "results")
        one_sentence(said, str(tmp_path / "file"), "is a file: name a folder")
