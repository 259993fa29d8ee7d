"""Transfer: outcomes at four standard errors, and deep records that are fresh of their code and budget only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from toy_claims import toy

from derivations.claim import Transfer
from noncollapse import sources, transfer
from noncollapse.transfer import deep_hash, deep_is_fresh, measure

NOISE = np.array([-1.0, 1.0, -1.0, 1.0])
ERROR = 1 / np.sqrt(3)  # √(4 / 3) / √4: the standard error of the mean of these four


def measured(values: list[float] | np.ndarray) -> dict:
    return measure(toy(transfer=Transfer(("net",), "it says", lambda runs: np.asarray(values))), {})


@pytest.mark.parametrize(("off", "outcome"), [(5, "follows"), (3, "undecided"), (-3, "undecided"), (-5, "departs")])
def test_an_outcome_is_told_at_four_standard_errors(off: float, outcome: str) -> None:
    found = measured(NOISE + off * ERROR)
    assert found["outcome"] == outcome, "n = 4, at 4 standard errors"
    assert found["se"] == pytest.approx(ERROR, rel=1e-12), "of four numbers, rounded"
    assert found["mean"] == pytest.approx(off * ERROR, rel=1e-12), "NOISE has mean 0; rounded"
    assert (found["n"], found["deep"], found["says"]) == (4, ["net"], "it says")


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan], [1.0, np.inf]])
def test_one_seed_or_no_number_has_no_outcome(values: list[float]) -> None:
    with pytest.raises(ArithmeticError, match="not finite over its seeds"):
        measured(values)


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
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "net.json").write_text(json.dumps({"provenance": {"sources": code, "budget": made}}))
    assert deep_is_fresh(tmp_path, "net", asked) == fresh
    assert not deep_is_fresh(tmp_path, "another net", asked)


@pytest.mark.parametrize(
    ("name", "depends"),
    [(f"full_models/{n}.py", True) for n in ("deep", "nets", "deep_settings", "linear")]
    + [(f"dynamics/{n}.py", True) for n in ("images", "observe", "setting", "view_kinds")]
    + [("noncollapse/transfer.py", False)],
)
def test_a_deep_record_depends_on_the_code_that_made_it(
    monkeypatch: pytest.MonkeyPatch, name: str, depends: bool
) -> None:
    before, digest = deep_hash(), sources._digest
    monkeypatch.setattr(sources, "_digest", lambda file: digest(file) + "changed" * (file == transfer.ROOT / name))
    assert (deep_hash() != before) == depends
