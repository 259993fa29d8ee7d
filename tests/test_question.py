"""A question at one Setting: what JSON does not say is the claim's own, and what puts a Setting outside is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from derivations.registry import CLAIMS
from dynamics.setting import GaussianViews, ImageViews, Setting, SettingError
from noncollapse import cli
from noncollapse.memory import is_full, words_of
from noncollapse.question import around, differs, residual_of

CHECKED = [claim for claim in CLAIMS.values() if claim.residual is not None]


@pytest.mark.parametrize("claim", CHECKED, ids=lambda c: c.id)
def test_an_empty_setting_is_the_claims_own(claim) -> None:
    assert around(claim.base, "{}") == claim.base
    assert differs(claim, claim.base) == {}


def test_a_part_is_merged_over_the_claims_base() -> None:
    base = CLAIMS["invariance-flow"].base
    made = around(base, '{"training": {"eta": 0.05}, "seed": 3}')
    assert made == base.replace(training__eta=0.05, seed=3)
    assert made.objective.loss == "invariance"  # the default of a Setting is "predictor", another claim's loss


def test_views_of_another_kind_take_their_own_defaults() -> None:
    base = CLAIMS["invariance-flow"].base
    assert isinstance(base.views, GaussianViews)
    assert around(base, '{"views": {"kind": "images", "d": 4}}').views == ImageViews(d=4)
    assert around(base, '{"views": {"angle": 0.2}}').views == base.replace(views__angle=0.2).views


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"seed": 1, "seed": 2}', "'seed' is given twice"),
        ('{"training": {"eta": 1, "eta": 2}}', "'eta' is given twice"),
        ('{"training": null}', "training must be an object {...}, not null"),
        ("[1]", "a Setting is a JSON object, not [1]"),
        ("{eta: 1}", "not JSON"),
        ('{"trainings": {}}', "unknown key 'trainings'"),
    ],
)
def test_bad_json_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(SettingError) as caught:
        around(CLAIMS["invariance-flow"].base, text)
    assert says in str(caught.value)


def test_what_a_claim_neither_varies_nor_names_is_outside() -> None:
    claim = CLAIMS["invariance-flow"]
    other = claim.base.replace(objective__loss="predictor", training__t_end=3.0, training__lr=0.01, seed=9)
    assert differs(claim, other) == {"objective.loss": "invariance"}  # times, steps and seeds are how one looks
    assert (
        differs(claim, around(claim.base, '{"views": {"kind": "images"}}')) == {}
    )  # a claim on moments, whose they be
    points = around(claim.base, '{"views": {"kind": "points"}}')
    assert differs(claim, points) == {"views.kind": "gaussian"}


def at(capsys: pytest.CaptureFixture[str], claim_id: str, setting: dict, *words: str) -> tuple[int, str, str]:
    code = cli.main(["verify", claim_id, "--setting", json.dumps(setting), *words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(("claim_id", "setting"), [
    ("invariance-flow", {}),
    ("naive-collapse", {"training": {"t_end": 12}}),
])  # fmt: skip
def test_a_verified_claim_holds_round_its_own_setting(claim_id: str, setting: dict, capsys) -> None:
    code, out, err = at(capsys, claim_id, setting)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[1] for line in lines] == list(CLAIMS[claim_id].rungs)
    assert all("holds" in line and "outside" not in line for line in lines)


def test_what_the_claim_is_about_is_said_where_the_setting_departs(capsys) -> None:
    code, out, _ = at(capsys, "invariance-flow", {"objective": {"loss": "predictor"}}, "--rung", "flow")
    assert code == 0
    assert "fails  (outside: the claim is about objective.loss = invariance)" in out


def test_one_rung_that_cannot_be_read_costs_no_other(capsys) -> None:
    setting = {"objective": {"loss": "predictor"}}  # has a flow, and no closed form from a generic start
    code, out, err = at(capsys, "naive-collapse", setting)
    assert (code, err) == (0, "")
    rows = {line.split()[1]: line for line in out.splitlines()}
    assert list(rows) == list(CLAIMS["naive-collapse"].rungs)
    assert "cannot be read: no closed form" in rows["exact"]
    assert "residual" in rows["flow"]
    assert "the claim is about objective.loss = invariance" in rows["flow"]


def test_a_sweep_reads_as_verify_does(capsys, tmp_path: Path) -> None:
    words = ["sweep", "invariance-flow", "--rung", "flow", "--over", "training.eta=0,0.5", "--setting",
             '{"training": {"alpha_p": 2.0}}', "--engine", "processes:1", "--results", str(tmp_path)]  # fmt: skip
    assert cli.main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    for row, eta in zip(rows, (0.0, 0.5), strict=True):
        (alone,) = json.loads(at(capsys, "invariance-flow", {"training": {"alpha_p": 2.0, "eta": eta}},
                                 "--rung", "flow", "--json")[1])  # fmt: skip
        assert {k: row[k] for k in ("ok", "assumptions_unmet", "differs")} == {
            k: alone[k] for k in ("ok", "assumptions_unmet", "differs")
        }
        assert row["residual"] == pytest.approx(alone["residual"], rel=1e-9)  # the same code in another process
    assert rows[1]["differs"] == {"training.alpha_p": 1.0} and rows[1]["assumptions_unmet"] == ["no-weight-decay"]
    assert cli.main(words) == 0
    assert "(outside: no-weight-decay; the claim is about training.alpha_p = 1.0)" in capsys.readouterr().out


def test_a_note_is_printed_beside_a_residual_over_its_tolerance(capsys) -> None:
    """Without it, a residual of 1e-4 against 1e-7 that "holds" reads as a mistake."""
    _, out, _ = at(capsys, "invariance-flow", {}, "--rung", "descent")
    assert "(slope " in out or "(within tolerance at lr" in out


@pytest.mark.parametrize("words", [["--publish"], ["--force"], ["--seed", "7"], ["--seed", "0"], ["--device", "cuda"]])
def test_an_option_that_a_question_would_ignore_is_refused(words: list[str], capsys) -> None:
    code, _, err = at(capsys, "invariance-flow", {}, *words)
    assert code == 2
    assert f"{words[0]} has no say with --setting" in err


def test_a_claim_without_residual_is_said(capsys) -> None:
    code, _, err = at(capsys, "other-difficulties", {})
    assert code == 2 and "has no residual: see `noncollapse show other-difficulties`" in err


def full(words: str, kind: type[Exception]):
    def read(*_: object) -> None:
        raise kind(words)

    return read


TORCH = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
)


@pytest.mark.parametrize(("error", "words"), [
    (MemoryError, "Unable to allocate 149. GiB"), (MemoryError, ""), (RuntimeError, TORCH),
])  # fmt: skip
def test_a_setting_too_large_for_the_memory_costs_the_others_nothing(error, words, monkeypatch) -> None:
    monkeypatch.setattr("noncollapse.rungs.read", full(words, error))
    found = residual_of("invariance-flow", "flow", CLAIMS["invariance-flow"].base)
    assert set(found) == {"error"} and "memory is too small" in found["error"] and "alloc_cpu.cpp" not in found["error"]


@pytest.mark.parametrize(
    ("error", "says"),
    [(RuntimeError("shapes differ"), "shapes differ"), (ZeroDivisionError("division"), "ZeroDivisionError: division"),
     (TypeError(), "TypeError"), (StopIteration(), "StopIteration"), (SystemExit(3), "SystemExit: 3")],
    ids=lambda x: type(x).__name__ if isinstance(x, BaseException) else "",
)  # fmt: skip
def test_a_fault_of_the_code_says_what_and_where(error: BaseException, says: str, monkeypatch) -> None:
    def read(*_: object) -> None:
        raise error

    monkeypatch.setattr("noncollapse.rungs.read", read)
    line = read.__code__.co_firstlineno + 1
    found = residual_of("invariance-flow", "flow", CLAIMS["invariance-flow"].base)
    assert found == {"error": f"{says} (test_question.py:{line})"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'{{"training": {{"eta": {"9" * 400}}}}}', "training.eta is larger than any float"),
        (f'{{"network": {{"k": {"9" * 400}}}}}', "network.k is larger than any float"),
        (f'{{"views": {{"noise": [1, {"9" * 400}]}}}}', "views.noise is larger than any float"),
        (f'{{"seed": {"9" * 5000}}}', "limit (4300 digits)"),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=["float", "whole", "row", "digits", "brackets"],
)
def test_numbers_and_nesting_beyond_python_are_one_sentence(text: str, says: str) -> None:
    for read in (Setting.from_json, lambda text: around(CLAIMS["invariance-flow"].base, text)):
        with pytest.raises(SettingError) as caught:
            read(text)
        assert says in str(caught.value) or (read == Setting.from_json and "recursion" in str(caught.value))


def test_rungs_that_cannot_be_read_are_not_other_settings(capsys) -> None:
    code, _, err = at(capsys, "invariance-flow", {"views": {"kind": "points"}})
    assert code == 2
    assert "cannot be read on flow at this Setting, nor on another rung: " in err


def test_full_memory_in_any_words() -> None:
    assert is_full(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")) and not is_full(RuntimeError("no"))
    assert is_full(RuntimeError("Storage size calculation overflowed with sizes=[1000000000000, 1000000000000]"))
    assert words_of(RuntimeError(TORCH)).startswith("DefaultCPUAllocator: can't allocate")
    assert words_of(MemoryError()) == "out of memory"
