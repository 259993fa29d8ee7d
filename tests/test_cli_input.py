"""Bad input on the command line: one sentence, exit 2, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_cases import AT, ONE, Cli, Said, files, one_sentence

from noncollapse import cli

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


def test_setting_on_a_rung_that_the_claim_lacks(say: Cli, results: Path) -> None:
    one_sentence(say("verify", ONE, "--setting", AT, "--rung", "sgd", "--results", results))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_overflowing_norm_does_not_pass(say: Cli, results: Path) -> None:
    at = '{"objective": {"loss": "invariance"}, "network": {"w0": 1e200}}'
    said = say("verify", "invariance-flow", "--setting", at, "--rung", "flow", "--json", "--results", results)
    assert said.code == 2 or not json.loads(said.out)[0]["ok"]


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
