"""Transfer: outcomes at four standard errors, and deep records that are fresh of their code and budget only."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_claims import toy

from derivations.claim import Claim, Transfer
from dynamics.setting import Setting
from noncollapse import sources, transfer, verify
from noncollapse.errors import RecordError
from noncollapse.records import write_arrays, write_json
from noncollapse.transfer import deep_hash, deep_is_fresh, load_deep, measure

NOISE = np.array([-1.0, 1.0, -1.0, 1.0])
ERROR = 1 / np.sqrt(3)  # √(4 / 3) / √4: the standard error of the mean of these four


def measured(values: Any) -> dict:
    return measure(toy(transfer=Transfer(("net",), "it says", lambda runs: np.asarray(values))), {})


@pytest.mark.parametrize(("off", "outcome"), [(5, "follows"), (3, "undecided"), (-3, "undecided"), (-5, "departs")])
def test_an_outcome_is_told_at_four_standard_errors(off: float, outcome: str) -> None:
    found = measured(NOISE + off * ERROR)
    assert found["outcome"] == outcome, "n = 4, at 4 standard errors"
    assert found["se"] == pytest.approx(ERROR, rel=1e-12), "of four numbers, rounded"
    assert found["mean"] == pytest.approx(off * ERROR, rel=1e-12), "NOISE has mean 0; rounded"
    assert (found["n"], found["deep"], found["says"]) == (4, ["net"], "it says")


@pytest.mark.parametrize("values", [[1.0, np.nan], [1.0, np.inf]])
def test_no_number_has_no_outcome(values: list[float]) -> None:
    with pytest.raises(ArithmeticError, match="not finite over its seeds"):
        measured(values)


def test_an_imaginary_part_of_a_gauge_is_not_thrown_away() -> None:
    with pytest.raises(ArithmeticError, match=r"^toy: the transfer gauge is complex: give real numbers"):
        measured([1 + 5j, 2 + 5j])


@pytest.mark.parametrize("values", [[1.0], 1.0, [[1.0, 2.0]]], ids=["one seed", "no row", "a table"])
def test_a_gauge_that_is_no_number_a_seed_says_its_shape(values: Any) -> None:
    with pytest.raises(ArithmeticError, match=r"has shape \(.*\): give \(R,\), a number for each of at least 2 seeds"):
        measured(values)


def recorded(results: Path, code: str = "", budget: str = "quick") -> Path:
    """A deep run called net; its folder."""
    about = {"setting": Setting().to_dict(), "provenance": {"sources": code or deep_hash(), "budget": budget}}
    write_json(results / "deep" / "net.json", about)
    write_arrays(results / "deep" / "net.npz", {"t": np.zeros(1), "p": np.ones((2, 1))})
    return results / "deep"


@pytest.mark.parametrize(
    ("code", "made", "asked", "fresh"),
    [
        (deep_hash(), "standard", "quick", True),
        (deep_hash(), "standard", "standard", True),
        (deep_hash(), "standard", "full", False),
        ("0" * 16, "standard", "quick", False),
    ],
    ids=["smaller budget", "same", "larger budget", "other code"],
)
def test_a_deep_record_is_fresh_of_its_code_and_no_larger_budget(
    tmp_path: Path, code: str, made: str, asked: str, fresh: bool
) -> None:
    recorded(tmp_path, code, made)
    assert deep_is_fresh(tmp_path, "net", asked) == fresh
    assert not deep_is_fresh(tmp_path, "another net", asked)


@pytest.mark.parametrize("damage", ["gone", "empty", "truncated", "torn", "no archive", "a list", "no json"])
def test_a_deep_record_that_cannot_be_read_is_trained_anew(damage: str, tmp_path: Path) -> None:
    deep = recorded(tmp_path)
    assert deep_is_fresh(tmp_path, "net", "quick")
    whole = (deep / "net.npz").read_bytes()
    middle = len(whole) // 4
    torn = {"empty": b"", "truncated": whole[: len(whole) // 2], "no archive": b"\x93NUMPY",
            "torn": whole[:middle] + bytes(len(whole) // 8) + whole[middle + len(whole) // 8 :]}  # fmt: skip
    if damage in torn:
        (deep / "net.npz").write_bytes(torn[damage])
    elif damage == "a list":
        (deep / "net.json").write_text("[]")
    else:
        (deep / ("net.npz" if damage == "gone" else "net.json")).unlink()
    assert not deep_is_fresh(tmp_path, "net", "quick")
    with pytest.raises(
        RecordError, match=r"net.npz is not a readable deep record: `noncollapse verify` trains it anew$"
    ):
        load_deep(tmp_path, "net")


def asks(gauge: Any, name: str = "net") -> Claim:
    return toy(transfer=Transfer((name,), "it says", gauge))


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (asks(lambda runs: runs["zzz"]), r"toy: KeyError: 'zzz' \(test_transfer.py:\d+\)"),
        (asks(lambda runs: 1.0), r"toy: the transfer gauge has shape \(\)"),
        (asks(lambda runs: 1 / 0), r"toy: ZeroDivisionError: division by zero \(test_transfer.py:\d+\)"),
        (asks(lambda runs: [1.0, 2.0], "nte"), "toy: no deep Setting is called nte: name some of .*net"),
        (asks(lambda runs: [1.0, 2.0], "other"), "toy: no deep record of other: `noncollapse verify toy` trains it"),
    ],
    ids=["a name", "a number", "a division", "misspelt", "not trained"],
)
def test_a_fault_in_a_gauge_is_a_sentence_and_costs_no_other(
    claim: Claim, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path)
    good = dataclasses.replace(asks(lambda runs: runs["net"]["p"][:, 0]), id="good")
    monkeypatch.setattr(transfer, "deep_names", lambda: ["net", "other"])
    monkeypatch.setattr(verify, "CLAIMS", {"toy": claim, "good": good})
    monkeypatch.setattr(verify, "load_or_none", lambda *_: {})
    (error,) = verify._attach_transfer(("toy", "good"), tmp_path, "record.json")
    assert re.match(says, error)
    assert not (tmp_path / "toy").exists()
    assert json.loads((tmp_path / "good" / "record.json").read_text())["transfer"]["outcome"] == "follows"


@pytest.mark.parametrize(
    ("name", "depends"),
    [(f"full_models/{n}.py", True) for n in ("deep", "nets", "deep_settings", "schedule")]
    + [(f"dynamics/{n}.py", True) for n in ("images", "observe", "setting", "view_kinds")]
    + [("noncollapse/transfer.py", False)],
)
def test_a_deep_record_depends_on_the_code_that_made_it(
    monkeypatch: pytest.MonkeyPatch, name: str, depends: bool
) -> None:
    before, digest = deep_hash(), sources._digest
    monkeypatch.setattr(sources, "_digest", lambda file: digest(file) + "changed" * (file == transfer.ROOT / name))
    assert (deep_hash() != before) == depends
