"""What `noncollapse train` and its data refuse: one sentence, before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from full_models import device
from full_models.data import DataError, load
from full_models.replicas import train_replicas
from full_models.training import Recipe, RecipeError
from full_models.training.loop import recorded_steps
from full_models.training.steps import make_method, make_optimiser
from noncollapse import cli

TINY = ("--net", "linear", "--width", "8", "--count", "64", "--batch", "32", "--epochs", "1")


def images(path: Path, labels: np.ndarray) -> str:
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (len(labels), 6, 6), dtype=np.uint8), labels=labels)
    return str(path)


def refused(words: tuple[str, ...], results: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence."""
    assert cli.main(["train", *words, "--results", str(results)]) == 2
    assert not list(results.glob("train/*"))
    return capsys.readouterr().err.strip().splitlines()[-1]  # a bar of no steps stands before it


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("simclr", *TINY, "--momentum", "0.5"), "adamw takes no --momentum"),
        (
            ("simclr", *TINY, "--dim", "4", "--set", "projector=none"),
            "with projector=none the option dim means nothing",
        ),
        (("simclr", *TINY, "--set", "projector=linear", "--set", "hidden=4"), "the option hidden means nothing"),
        (("simsiam-no-predictor", *TINY, "--set", "predictor_rate=2"), "the option predictor_rate means nothing"),
        (("byol", *TINY, "--set", "predictor=linear", "--set", "predictor_hidden=2"), "predictor_hidden means nothing"),
        (("--epochs", "3"), "no METHOD to train is named"),
        (("--set", "tau=0.1"), "no METHOD to train is named"),
        (("simclr", *TINY, "--augment", "shift", "--strength", "0.4"), "strength 0.4 of shift: give a whole number"),
        (("simclr", *TINY, "--seed", str(2**64)), "give one below 2^64"),
        (("simclr", *TINY, "--width", str(2**63)), "give one below 2^63"),
        (("simclr", *TINY, "--width", str(2**62)), "memory is too small"),
        (("simclr", *TINY, "--net", "resnet18", "--width", str(2**18)), "memory is too small (parameters need"),
        (("simclr", *TINY, "--lr", "1e300"), "lr is 1e+300 for some parameters: float32 holds up to 1e+36"),
        (("simclr", *TINY, "--weight-decay", "1e300", "--optimiser", "sgd"), "weight_decay is 1e+300 for some"),
        (("simsiam", *TINY, "--set", "predictor_rate=1e300"), "lr is 1e+297 for some parameters"),
        (("simclr", *TINY, "--records", "1000000000000"), "records is 1000000000000: give at most 1000000"),
        (("byol", *TINY, "--set", "ema=2"), "ema, the average's momentum = 2"),
    ],
)
def test_what_would_be_ignored_or_misread_is_refused(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refused(words, tmp_path, capsys)


def test_what_trains_must_fit_with_its_gradients_and_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe("simclr", encoder="linear", width=8)
    method = make_method(recipe, (1, 8, 8))
    size = sum(p.nbytes for p in method.parameters())
    monkeypatch.setattr(device, "memory_of", lambda place: 3 * size)
    assert make_optimiser(replace(recipe, optimiser="sgd"), method)  # itself and its gradient: twice
    assert make_optimiser(replace(recipe, optimiser="lars"), method)  # and one moment
    with pytest.raises(MemoryError, match="parameters need"):
        make_optimiser(recipe, method)  # adamw's two: four times


@pytest.mark.parametrize("words", ["--momentum 0.5 --optimiser sgd", "--dim 4 --set projector=linear"])
def test_what_is_read_is_taken(words: str, tmp_path: Path) -> None:
    assert cli.main(["train", "simclr", *TINY, *words.split(), "--results", str(tmp_path)]) == 0


def test_labels_beyond_the_classes_are_told_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = images(tmp_path / "twelve.npz", np.arange(120) % 12)
    words = ("supervised", "--data", data, *TINY)
    assert "labels up to 11 for 10 classes: give the method classes=12" in refused(words, tmp_path / "no", capsys)
    with pytest.raises(RecipeError, match="classes=12"):
        train_replicas(Recipe("supervised", data, encoder="linear", width=8, batch=32, epochs=1), [0], [0.1])
    assert cli.main(["train", *words, "--set", "classes=12", "--results", str(tmp_path)]) == 0


def test_labels_with_huge_gaps_are_refused(tmp_path: Path) -> None:
    """A probe has a row for every number up to the largest: of 10^9, more than any memory holds."""
    with pytest.raises(DataError, match="number the classes from 0"):
        load(images(tmp_path / "gaps.npz", np.arange(20) % 2 * 10**9))


def folder(root: Path, *names: str) -> str:
    for name in names:
        (root / name).mkdir(parents=True)
        for k in range(5):
            Image.fromarray(np.full((8, 8), 40 * k, np.uint8)).save(root / name / f"{k}.png")
    return str(root)


def test_a_split_that_stands_alone_is_not_taken_for_a_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has train and no test"):
        load(folder(tmp_path / "imagenet", "train/cat", "train/dog", "val/cat", "val/dog"))
    vehicles = load(folder(tmp_path / "vehicles", "car", "train"))  # a class of that name holds images itself
    assert vehicles.labels is not None and vehicles.labels.unique().tolist() == [0, 1]


def test_more_records_than_steps_cost_nothing() -> None:
    assert recorded_steps(3, 10**15) == [0, 1, 2, 3]


class CannotCompile(RuntimeError):
    """torch's own, without the seconds that its compiler takes to be imported."""

    __module__ = "torch._inductor.exc"


@pytest.mark.parametrize("words", [("--compile",), ()])
def test_a_machine_without_a_compiler_is_one_sentence(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: object, **__: object) -> None:
        raise CannotCompile("No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1")

    monkeypatch.setattr("full_models.training.train", train)
    if words:
        said = refused(("simclr", *TINY, *words), tmp_path, capsys)
        assert said.endswith("cannot compile the encoder here (No working C++ compiler found): leave out --compile")
    else:  # nobody asked for it: a fault, which is shown whole
        with pytest.raises(CannotCompile):
            cli.main(["train", "simclr", *TINY, "--results", str(tmp_path)])
