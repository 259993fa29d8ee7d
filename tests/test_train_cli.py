"""`noncollapse train`: records, resumption after a real kill, two processes by torchrun, and bad input in one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import full_models.training
from full_models.training import RecipeError
from noncollapse import cli, training

ROOT = Path(__file__).resolve().parent.parent
TINY = ("simclr", "--net", "linear", "--width", "8", "--dim", "4", "--count", "128", "--batch", "64", "--records", "3")


class Said(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    def run(*words: str) -> Said:
        capsys.readouterr()
        try:
            code = cli.main(["train", *words, "--results", str(tmp_path)])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        return Said(code, *capsys.readouterr())

    return run


def record(results: Path) -> dict[str, Any]:
    (path,) = results.glob("train/*/record.json")
    return json.loads(path.read_text())


def trace(results: Path) -> dict[str, np.ndarray]:
    (path,) = results.glob("train/*/record.npz")
    with np.load(path) as data:
        return {name: data[name] for name in data.files}


def test_a_run_leaves_a_record_and_says_what_it_found(say: Cli, tmp_path: Path) -> None:
    said = say(*TINY, "--epochs", "2", "--set", "tau=0.2")
    assert said.code == 0
    made, arrays = record(tmp_path), trace(tmp_path)
    assert made["recipe"]["options"] == {"tau": 0.2} and made["steps"] == 4
    assert {"numpy", "torch"} <= made["provenance"]["versions"].keys()
    assert made["provenance"]["sources"] == training.training_hash()
    assert arrays["spectrum"].shape == (1, 3, 4) and arrays["t"].tolist() == [0, 2, 4]
    assert [row["erank"] for row in made["rows"]] == arrays["erank"][0].tolist()
    for words in ("eff. rank", "raw pixels", "untrained", f"{made['probes']['trained']['linear']:.3f}", "record.json"):
        assert words in said.out


def test_a_fresh_record_is_shown_and_restart_trains_again(
    say: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, train = [], full_models.training.train
    monkeypatch.setattr(full_models.training, "train", lambda *a, **k: calls.append(a) or train(*a, **k))
    first = json.loads(say(*TINY, "--epochs", "1", "--json").out)
    trained = len(calls)
    assert trained and json.loads(say(*TINY, "--epochs", "1", "--json").out) == first and len(calls) == trained
    again = json.loads(say(*TINY, "--epochs", "1", "--restart", "--json").out)
    assert again["rows"] == first["rows"] and again["probes"] == first["probes"] and len(calls) == 2 * trained


def test_other_code_trains_anew(say: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say(*TINY, "--epochs", "1")
    monkeypatch.setattr(training, "training_hash", lambda: "other")
    assert say(*TINY, "--epochs", "1", "--resume").code == 2
    assert say(*TINY, "--epochs", "1").code == 0
    assert record(tmp_path)["provenance"]["sources"] == "other"


def command(*words: str, results: Path) -> list[str]:
    return [sys.executable, "-m", "noncollapse", "train", *words, "--results", str(results)]


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images without labels: no probe is fitted, so that a run is nothing but steps."""
    path = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (200, 6, 6), dtype=np.uint8))
    return str(path)


def test_a_killed_process_resumes_to_the_same_numbers(unlabelled: str, tmp_path: Path) -> None:
    """SIGKILL as soon as a checkpoint of an unfinished run is on disk."""
    words = (*TINY, "--data", unlabelled, "--epochs", "200", "--records", "10")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    process = subprocess.Popen(command(*words, results=killed), **quiet)
    began = time.monotonic()
    while not list(killed.glob("train/*/checkpoint.pt")) and process.poll() is None and time.monotonic() - began < 60:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(killed.glob("train/*/record.json"))  # it was killed before its end
    assert cli.main(["train", *words, "--resume", "--results", str(killed)]) == 0
    assert cli.main(["train", *words, "--results", str(whole)]) == 0
    ours, theirs = trace(whole), trace(killed)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_false_is_false_in_any_case(say: Cli) -> None:
    """A word is true in Python: read as one, "False" trained the opposite."""
    words = ("simsiam", *TINY[1:], "--epochs", "1", "--json", "--set")
    losses = {word: [row["loss"] for row in json.loads(say(*words, f"stop={word}").out)["rows"]]
              for word in ("false", "False", "TRUE", "true")}  # fmt: skip
    assert losses["False"] == losses["false"]
    assert losses["TRUE"] == losses["true"]
    assert losses["false"][-1] != losses["true"][-1]  # the gradient of the target's branch changes the first step


def test_raw_pixels_are_another_run(say: Cli, tmp_path: Path) -> None:
    assert say(*TINY, "--epochs", "1", "--raw-pixels").code == 0
    made = record(tmp_path)
    assert made["recipe"]["standardise"] is False and made["channels"] is None
    standard = json.loads(say(*TINY, "--epochs", "1", "--json").out)
    assert standard["recipe"]["standardise"] is True and standard["channels"]["deviation"][0] > 0
    assert standard["rows"] != made["rows"] and standard["probes"]["pixels"] == made["probes"]["pixels"]


@pytest.mark.parametrize("method", ["vicreg --net linear --dim 4 --set norm=false", "i-jepa --net vit-micro"])
def test_two_processes_by_torchrun_write_one_record(unlabelled: str, tmp_path: Path, method: str) -> None:
    """Without batch norm (on CPU each process has its own) and without random views: the same run as alone, masks included."""
    size = ("--width", "8", "--count", "128", "--batch", "64", "--records", "3", "--epochs", "2", "--augment", "none")
    words = (*method.split(), "--data", unlabelled, *size)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    two = [*start, *command(*words, results=tmp_path / "two")[2:]]
    done = subprocess.run(two, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no labels") == 1  # one of them speaks
    assert cli.main(["train", *words, "--results", str(tmp_path / "one")]) == 0
    ours, theirs = trace(tmp_path / "one"), trace(tmp_path / "two")
    np.testing.assert_allclose(theirs["loss"], ours["loss"], rtol=1e-4)  # float32 sums in another order, 4 steps
    spectra = theirs["spectrum"], ours["spectrum"]
    np.testing.assert_allclose(*spectra, rtol=1e-3, atol=1e-12)  # after AdamW's division; 1e-7²
    moments = [record(tmp_path / name)["channels"] for name in ("one", "two")]
    assert moments[0] == moments[1]  # of all training images, on every process


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("simcler",), "did you mean simclr"),
        (("qqq",), "noncollapse train"),
        ((*TINY, "--set", "tau"), "KEY=VALUE"),
        ((*TINY, "--set", "tau=[1]"), "number"),
        ((*TINY, "--set", "temperature=1"), "tau"),
        ((*TINY, "--set", "tau=-1"), "tau"),
        ((*TINY, "--set", "tau=0.1", "--set", "tau=0.2"), "--set names tau twice"),
        ((*TINY, "--set", "dim=8"), "--dim and --set dim"),
        ((*TINY, "--set", "tau=abc"), "tau = 'abc': give a finite number"),
        ((*TINY, "--set", "tau=NaN"), "tau = nan: give a finite number"),
        ((*TINY, "--set", "tau=true"), "tau = True: give a finite number"),
        ((*TINY, "--set", "hidden=1.5"), "hidden = 1.5: give a whole number"),
        ((*TINY, "--set", "hidden=true"), "hidden = True: give a whole number"),
        (("simclr", "--net", "linear", "--set", "dim=null"), "dim = None: give a whole number"),
        ((*TINY, "--set", "norm=foo"), "norm = 'foo': give true or false"),
        ((*TINY, "--set", "projector=3"), "projector = 3: give a word"),
        (("simsiam", *TINY[1:], "--set", "stop=flase"), "stop = 'flase': give true or false"),
        (("simsiam", *TINY[1:], "--set", "unit=0"), "unit = 0: give true or false"),
        (("simsiam", *TINY[1:], "--set", "predictor_hidden=wide"), "give a whole number or null"),
        ((*TINY, "--data", "cifar11"), "cifar10"),
        ((*TINY, "--data", "cifar10", "--path", "/nowhere"), "/nowhere"),
        ((*TINY, "--augment", "blur"), "simclr"),
        ((*TINY, "--net", "resnet50"), "resnet18"),
        ((*TINY, "--batch", "1000"), "smaller batch"),
        ((*TINY, "--device", "gpu"), "cpu or cuda"),
        ((*TINY, "--resume"), "resume"),
        ((*TINY, "--lr", "many"), "invalid float"),
        ((*TINY, "--seed", "-1"), "seed"),
        ((*TINY, "--batch", "1", "--set", "norm=true"), "batch norm needs at least 2 images a step"),
        ((*TINY, "--lr", "1e30", "--schedule", "constant", "--warmup", "0"), "training diverged"),
        (("mae", "--net", "mlp"), "vit"),
        (("vicreg", "--net", "vit-tiny", "--width", "7"), "width"),
    ],
)
def test_bad_input_is_one_sentence(say: Cli, words: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    said = say(*words)
    assert said.code == 2
    lines = [line for line in said.err.strip().splitlines() if line.startswith("noncollapse:")]
    assert len(lines) == 1 and expected in lines[0]
    assert "Traceback" not in said.err
    assert not list(tmp_path.glob("train/*/record.json"))


def test_what_was_measured_before_it_diverged_is_shown(say: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from full_models.training import loop, measure

    rows: list[dict] = []

    def row(*args: Any) -> dict:
        if len(rows) == 2:
            raise RecipeError("training diverged, the embedding is not finite: give a smaller lr or more warmup")
        rows.append(measure.moments_row(*args))
        return rows[-1]

    monkeypatch.setattr(loop, "moments_row", row)
    said = say(*TINY, "--epochs", "2")
    assert said.code == 2
    heading, *shown, sentence = said.err.strip().splitlines()[-4:]
    assert heading.split()[:2] == ["step", "loss"]
    assert [line.split()[0] for line in shown] == ["0", "2"]  # of the records at 0, 2 and 4 of 4 steps
    assert f"{float(rows[1]['erank']):.1f}" in shown[1]
    assert sentence.startswith("noncollapse: training diverged")


def test_a_damaged_record_is_one_sentence(say: Cli, tmp_path: Path) -> None:
    say(*TINY, "--epochs", "1")
    (path,) = tmp_path.glob("train/*/record.json")
    path.write_text("{")
    said = say(*TINY, "--epochs", "1")
    assert said.code == 2 and "give --restart" in said.err
    assert say(*TINY, "--epochs", "1", "--restart").code == 0


def test_all_methods_are_listed(say: Cli) -> None:
    from full_models.methods import METHODS

    shown = say().out
    assert all(name in shown for name in METHODS)
    assert {row["method"] for row in json.loads(say("--json").out)} == METHODS.keys()


def test_help_shows_examples_and_loads_nothing_heavy() -> None:
    code = "import sys; from noncollapse import cli\ntry: cli.main(['train', '--help'])\nexcept SystemExit: pass\n"
    code += "print({'torch', 'numpy', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "examples:" in done.stdout and "noncollapse train simclr" in done.stdout
    assert done.stdout.strip().endswith("set()")
    assert os.environ.get("OMP_NUM_THREADS")  # set by conftest: one thread a process
