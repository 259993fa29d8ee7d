"""What a run is fed: pairs, standardised channels, the images of a split; and data that do not fit are one sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import SMALL, cheap_probes

from full_models.training import RecipeError, train
from full_models.training.material import material

torch.set_num_threads(1)
__all__ = ["cheap_probes"]  # the fixture


def test_given_pairs_are_their_own_views(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((100, 6)).astype(np.float32)
    np.savez(tmp_path / "pairs.npz", x=x, x_plus=x + 0.1 * rng.random((100, 6)))
    recipe = dataclasses.replace(SMALL, data=str(tmp_path / "pairs.npz"), count=None, batch=16, epochs=1)
    run = train(recipe)
    assert "linear" not in run.obs and run.facts["probes"] == {"trained": {}, "untrained": {}, "pixels": {}}
    assert np.isfinite(run["loss"]).all()


def test_networks_are_fed_standardised_channels_whatever_the_scale_of_the_pixels(tmp_path: Path) -> None:
    """Images of a x + b, another a and b in each channel, train to the same losses; raw ones do not."""
    x = np.random.default_rng(0).random((120, 3, 4, 4))
    x[:, 2] = 0.5  # a constant channel
    other = x * np.array([7.0, 0.01, 1.0])[:, None, None] + np.array([-2.0, 0.3, 1.0])[:, None, None]
    for name, images in (("one", x), ("other", other)):
        np.savez(tmp_path / f"{name}.npz", images=images)
    recipe = dataclasses.replace(SMALL, augmentation="none", method="vicreg", count=None, batch=16, epochs=1)

    def losses(name: str, **change: Any) -> np.ndarray:
        return train(dataclasses.replace(recipe, data=str(tmp_path / f"{name}.npz"), **change))["loss"][0]

    np.testing.assert_allclose(
        losses("other"), losses("one"), rtol=1e-3
    )  # 0.3 of 0.01 in float32: 1e-5, grown by 6 steps
    raw = losses("one", standardise=False), losses("other", standardise=False)
    assert abs(raw[0] / raw[1] - 1).max() > 0.1  # a hundred times what standardised losses may differ by


def test_moments_are_of_the_images_used_and_in_the_record() -> None:
    fed, run = material(SMALL, "cpu"), train(SMALL)
    mean, deviation = fed.train.moments()
    assert run.facts["channels"] == {"mean": mean.tolist(), "deviation": deviation.tolist()}
    clean = dataclasses.replace(fed, augment=lambda x, generator: x)
    (view,) = clean.views(torch.arange(len(fed.train)), "image", torch.Generator())
    assert abs(float(view.mean())) < 1e-5 and float(view.std()) == pytest.approx(1, abs=1e-3)  # float32; ddof
    assert train(dataclasses.replace(SMALL, standardise=False)).facts["channels"] is None
    assert fed.raw.fed(view) is view


def test_the_baseline_of_pixels_is_of_pixels() -> None:
    """k-NN reads cosines, which centring changes: the baseline is of levels in [0, 1] whatever networks are fed."""
    kept, raw = (train(dataclasses.replace(SMALL, standardise=on)).facts["probes"] for on in (True, False))
    assert kept["pixels"] == raw["pixels"] and kept["untrained"] != raw["untrained"]


def test_the_first_test_images_are_of_every_class_though_the_file_is_sorted(tmp_path: Path) -> None:
    images, labels = np.zeros((400, 4, 4), np.uint8), np.repeat(np.arange(4), 100)
    np.savez(tmp_path / "sorted.npz", images=images, labels=labels, test_images=images, test_labels=labels)
    fed = material(dataclasses.replace(SMALL, data=str(tmp_path / "sorted.npz")), "cpu")
    assert fed.test.labels is not None and fed.test.labels.bincount().tolist() == [100] * 4
    assert fed.test.labels[:100].bincount(minlength=4).min() > 5  # 25 ± 4 of each class of a random hundred


def test_train_and_test_images_of_two_shapes_are_one_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", images=np.zeros((90, 4, 4), np.uint8), test_images=np.zeros((9, 5, 5), np.uint8))
    with pytest.raises(RecipeError, match=r"\(1, 4, 4\) and tests on \(1, 5, 5\): make them alike"):
        train(dataclasses.replace(SMALL, data=str(tmp_path / "two.npz"), count=None))


def test_a_method_that_needs_labels_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "unlabelled.npz", images=np.zeros((50, 4, 4), np.uint8))
    recipe = dataclasses.replace(SMALL, method="supervised", dim=None, data=str(tmp_path / "unlabelled.npz"), batch=8, count=None)  # fmt: skip
    with pytest.raises(ValueError, match="labels"):
        train(recipe)
