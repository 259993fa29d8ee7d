"""`noncollapse sweep`: a grid read once, recorded, and every bad axis one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noncollapse import cli
from noncollapse.budget import BUDGETS
from noncollapse.rungs import read
from noncollapse.verbs.sweep import _axis, _grid

ONE = "invariance-flow"


def test_axes_and_grid() -> None:
    from derivations.registry import CLAIMS

    assert _axis("training.eta=0:0.3:4") == ("training.eta", pytest.approx([0.0, 0.1, 0.2, 0.3], rel=1e-15))
    assert _axis("objective.target=online,ema") == ("objective.target", ["online", "ema"])
    assert _axis("views.signal=[1,0.5],[1,0.2]") == ("views.signal", [[1, 0.5], [1, 0.2]])
    assert _axis("training.eta_p=null,0.1") == ("training.eta_p", [None, 0.1])
    points, settings = _grid(CLAIMS[ONE].base, {"seed": [0.0, 1.0], "training.eta": [0.0, 0.1]})
    assert [(s.seed, s.training.eta) for s in settings] == [(0, 0.0), (0, 0.1), (1, 0.0), (1, 0.1)]
    assert points[1] == {"seed": 0, "training.eta": 0.1}
    assert all(isinstance(point["seed"], int) for point in points), "as the Setting holds it"


def test_a_sweep_reads_what_the_ladder_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from derivations.registry import CLAIMS

    words = ["sweep", ONE, "--over", "seed=0,1", "--over", "training.eta=0,0.5", "--engine", "processes:1", "--json"]
    assert cli.main([*words, "--results", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)["rows"]
    _, settings = _grid(CLAIMS[ONE].base, {"seed": [0, 1], "training.eta": [0, 0.5]})
    truth = [read(CLAIMS[ONE], s, "flow", BUDGETS["quick"].replicas) for s in settings]
    assert [row["ok"] for row in found] == [r.ok for r in truth]
    assert [row["residual"] for row in found] == pytest.approx([r.residual for r in truth], rel=1e-9)  # the same code
    assert {row["ok"] for row in found} == {True, False}, "with weight decay the flow without it is another"
    records = sorted((tmp_path / "sweeps").glob("*.json"))
    made = [path.stat().st_mtime_ns for path in records]
    assert cli.main([*words, "--results", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == found
    assert [path.stat().st_mtime_ns for path in records] == made, "nothing is computed twice"


def test_a_setting_that_cannot_be_read_costs_the_others_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "invariance-solution", "--rung", "exact", "--over", "objective.loss=invariance,nt_xent"]
    assert cli.main([*words, "--engine", "processes:1", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "holds at 1 of 1 Settings on exact; 1 could not be read" in out


def test_a_residual_over_its_tolerance_that_holds_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "byol-three-conditions", "--over", "training.eta=0.1,0.2", "--engine", "processes:1"]
    assert cli.main([*words, "--results", str(tmp_path)]) == 0
    _, settled, late, _ = capsys.readouterr().out.splitlines()
    assert "not there yet" not in settled
    assert "(not there yet, but shrinking with time)  holds" in late


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((ONE,), "needs an axis"),
        ((ONE, "--over", "training.eta"), "write PATH=VALUES"),
        ((ONE, "--over", "training.eta=0:x:3"), "two numbers and a whole number"),
        ((ONE, "--over", "training.eta=0:1:1"), "at least 2"),
        ((ONE, "--over", "training.speed=1,2"), "has no 'training.speed'"),
        ((ONE, "--over", "training.eta=-1,0"), "number >= 0"),
        ((ONE, "--over", "seed=0:999999:1000000", "--over", "training.eta=0,1"), "at most 1000000"),
        ((ONE, "--over", "training.eta=0:1:99999999999999999"), "99999999999999999 Settings: give at most 1000000"),
        ((ONE, "--over", "training.eta=0.1", "--over", "training.eta=0.2"), "names training.eta twice"),
        ((ONE, "--over", "seed=0,1", "--rung", "exact"), "choose among them"),
        (("other-difficulties", "--over", "seed=0,1"), "has no residual"),
        ((ONE, "--over", "seed=0,1", "--engine", "carrier-pigeon"), "is not known"),
        ((ONE, "--over", f"seed={'9' * 5000}"), "--over seed: its values cannot be read"),
        ((ONE, "--over", f"seed={'[' * 100_000}"), "nested too deeply): give shorter ones"),
        (("no-such-claim", "--over", "seed=0,1"), "unknown claim"),
    ],
)
def test_bad_input_gets_one_sentence(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", *words, "--results", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert len(err.strip().splitlines()) == 1
