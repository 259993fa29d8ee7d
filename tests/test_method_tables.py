"""The tables of methods: a criterion that tells collapse from chance, and records that do not say where data lie."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import digits_methods, image_methods, masked_settings
from dynamics.run import Run
from full_models.methods import METHODS
from full_models.training import Recipe, train

TINY = Recipe(method="random", encoder="linear", width=8, count=64, batch=32, epochs=1, records=2)


def test_fewer_tells_five_seeds_apart_at_four_standard_errors() -> None:
    low, high = [1.0, 1.1, 0.9, 1.0, 1.0], [2.0, 2.1, 1.9, 2.0, 2.0]
    told, errors = digits_methods.fewer(low, high)
    one = np.sqrt(0.02 / 4 / 5)  # standard error of a mean of five whose deviations are ±0.1 twice and 0 else
    assert told and errors == pytest.approx(1 / (np.sqrt(2) * one), rel=1e-12)  # float64
    assert not digits_methods.fewer(high, low)[0] and not digits_methods.fewer(low, low)[0]


def test_fewer_seldom_tells_equals_apart() -> None:
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((4000, 2, 5))
    told = sum(digits_methods.fewer(a.tolist(), b.tolist())[0] for a, b in draws)
    # Student's t with 8 degrees of freedom beyond 4: 0.2 % on one side; 4 standard errors of that share of 4,000
    assert told / 4000 < 0.002 + 4 * np.sqrt(0.002 / 4000)


def test_every_judgement_is_of_methods_that_there_are() -> None:
    pairs = {*digits_methods.PARENTS.items()}
    assert {name for pair in pairs for name in pair} | {
        *digits_methods.NULLS,
        *digits_methods.PREDICTED,
    } <= METHODS.keys()
    collapsing = {name for name, spec in METHODS.items() if spec.collapses}
    assert collapsing <= digits_methods.PARENTS.keys()  # nothing said to collapse goes unjudged
    assert len(digits_methods.NULLS) >= 3
    assert set(masked_settings.SETTINGS) <= set(digits_methods.MASKED)


def made(tmp_path: Path) -> tuple[Run, dict[str, str], str]:
    """A run on a file, and what its record says of it."""
    rng = np.random.default_rng(0)
    file = tmp_path / "cifar.npz"
    labels = np.arange(80) % 4
    np.savez(file, images=rng.integers(0, 256, (80, 8, 8, 3), dtype=np.uint8), labels=labels)
    run = train(dataclasses.replace(TINY, data="cifar10", path=str(file)))
    return run, image_methods.source_of("cifar10", str(file), "CIFAR-10 of a test"), str(tmp_path)


def test_a_record_names_its_file_and_not_its_place(tmp_path: Path) -> None:
    run, source, place = made(tmp_path)
    record = image_methods.kept(run, source, "abc")
    assert source["file"] == "cifar.npz" and len(source["sha256"]) == 64
    assert place in json.dumps(run.facts["recipe"]) and place not in json.dumps(record)  # the run knows, the record not
    text = image_methods.head({"random": record}, "cifar10_methods")
    assert "CIFAR-10 of a test from cifar.npz" in text and "64 training and 16 test images" in text and "abc" in text


def test_the_training_images_alone_are_seen_by_the_choice_of_settings(tmp_path: Path) -> None:
    data = masked_settings.training_images(tmp_path)
    with np.load(data) as kept:
        assert len(kept["images"]) == 1297  # of 1,797: the 500 test images are not in the file
    one = masked_settings.recipe("v-jepa", data, 1, masked_settings.FASTER)
    assert one.options == {"frames": 4, "ema": 0.99} and one.seed == 1
