"""`noncollapse phase`: no request overwrites another's record, and numbers beyond floats warn nobody."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from noncollapse import cli


def phase(*words: str, results: Path) -> int:
    return cli.main(["phase", "--size", "8", *words, "--results", str(results)])


REQUESTS = (
    (),
    ("--set", "a=2"),
    ("--set", "a=2.0000001"),
    ("--x", "eta=0:0.2"),
    ("--x", "eta=0.1:0.3:log"),
    ("--size", "9"),
)


def test_another_request_never_overwrites_a_diagram(tmp_path: Path) -> None:
    for n, words in enumerate(REQUESTS, start=1):
        assert phase(*words, results=tmp_path) == 0
        assert len(list(tmp_path.glob("phase/eta-p0-*.npz"))) == n
    before = {path: path.read_bytes() for path in tmp_path.glob("phase/*.npz")}
    assert phase(*REQUESTS[0], results=tmp_path) == 0
    assert {path: path.read_bytes() for path in tmp_path.glob("phase/*.npz")} == before, (
        "the same request, the same file"
    )


def test_a_name_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert phase("--name", "mine", "--json", results=tmp_path) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "mine"
    assert phase("--name", "", results=tmp_path) == 2
    assert "--name '': give a plain file name" in capsys.readouterr().err


def test_a_name_too_long_for_a_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert phase("--name", "ä" * 100, results=tmp_path) == 0
    capsys.readouterr()
    assert phase("--name", "ä" * 101, results=tmp_path) == 2
    assert capsys.readouterr().err == "noncollapse: --name has 202 bytes: give at most 200\n"


@pytest.mark.parametrize("words", [("--set", "c=1e200"), ("--set", "a=1e300"), ("--set", "alpha_p=1e-320")])
def test_huge_numbers_warn_nobody(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = phase(*words, results=tmp_path)
    assert code == 0 or capsys.readouterr().err.count("\n") == 1, "a diagram, or one sentence"


def test_pixels_that_fail_are_told_in_words_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extreme = "--x tau0=-1e15:1e15 --y p0=-1e12:1e12 --set eta=1e-3 --set beta=0.1 --json"
    assert phase(*extreme.split(), results=tmp_path) == 0
    record = json.loads(capsys.readouterr().out)
    rounding, tries = record["failures"]
    remedy = "; give x, y and what is set less extreme values"
    first = "p0 = 1.43e+11"  # 1e12 / 7: of 8 rows, the first above 0
    assert rounding.endswith(f"the first at tau0 = -1e+15, {first}: they asked for steps below rounding{remedy}")
    assert tries.endswith(f"the first at tau0 = -1e+15, p0 = -1e+12: they took more than 100,000 steps{remedy}")
    counted = sum(int(line.split()[0]) for line in record["failures"])
    assert 0 < counted <= record["counts"]["undecided"]
