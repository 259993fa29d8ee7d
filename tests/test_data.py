"""Digits, what every ImageSet can do, and what cannot be loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from data_cases import FIFTH, nowhere, pixels, rng
from sklearn.datasets import load_digits

from full_models.data import DataError, ImageSet, as_float, load
from full_models.data.imageset import hold_out

torch.set_num_threads(1)
__all__ = ["nowhere"]  # the fixture


def test_digits_are_split_once_and_for_all() -> None:
    flat, labels = load_digits(return_X_y=True)
    train, test = load("digits"), load("digits", "test")
    assert len(train) == 1297 and len(test) == 500 and train.shape == (1, 8, 8)  # of 1,797
    stored = torch.cat([train.images, test.images]).double()
    assert stored.max() == 255 and train.images.dtype == torch.uint8
    assert (stored.flatten(1) * 16 / 255 - torch.from_numpy(flat)).abs().max() <= 8 / 255  # half a level, rounded
    assert train.labels is not None and test.labels is not None
    assert torch.equal(torch.cat([train.labels, test.labels]), torch.from_numpy(labels))
    assert torch.bincount(test.labels).min() > 40  # ten classes of about 50: none is missing from the test split


def test_bytes_become_floats_between_0_and_1_and_floats_stay() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(as_float(levels), torch.arange(256) / 255)
    floats = torch.tensor([-3.0, 0.2, 7.0])
    assert as_float(floats) is floats


def test_moments_are_those_of_every_pixel_of_a_channel() -> None:
    x = pixels(4100, 3, 4, 4)  # more than one part of 4,096
    x[:, 2] = 51
    mean, deviation = ImageSet(torch.from_numpy(x), None, "x").moments()
    exact = (x / 255).astype(np.float64)
    assert np.allclose(mean, exact.mean((0, 2, 3)), rtol=1e-6)  # float32
    assert np.allclose(deviation, exact.std((0, 2, 3)), rtol=1e-6, atol=1e-6)  # float32; √ of a rounded 0 for channel 2


def test_each_fifth_image_of_a_class_is_held_out() -> None:
    labels = torch.from_numpy(rng().integers(0, 3, 60))
    whole = ImageSet(torch.arange(60, dtype=torch.uint8).reshape(60, 1, 1, 1), labels, "whole")
    train, test = hold_out(whole, "train"), hold_out(whole, "test")
    ids = [set(part.images.flatten().tolist()) for part in (train, test)]
    assert ids[0] | ids[1] == set(range(60)) and not ids[0] & ids[1]
    for label in range(3):
        mine = torch.nonzero(labels == label).flatten().tolist()
        assert [i for i in mine if i in ids[1]] == mine[FIFTH - 1 :: FIFTH]
    with pytest.raises(DataError, match="whole has 4 images, too few"):
        hold_out(whole.take(torch.arange(4)), "test")


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (("cifar10",), {}, "CIFAR-10 was not found: give the path of cifar-10-batches-py or cifar-10-python.tar.gz"),
        (("cifar10",), {"path": Path("absent")}, "CIFAR-10: absent does not exist"),
        (("stl10",), {}, "STL-10 was not found: .* set NONCOLLAPSE_STL10"),
        (("imagenet",), {}, "'imagenet' is neither digits, fashion-mnist, cifar10, stl10, nor a folder"),
        (("imagenet",), {"path": Path()}, "data 'imagenet' is not one of digits"),
        (("absent.npz",), {}, "absent.npz does not exist"),
        (("digits", "unlabelled"), {}, "digits has no split 'unlabelled'"),
        (("digits", "valid"), {}, "digits has no split 'valid': use train or test"),
        (("digits",), {"path": Path()}, "digits come with scikit-learn"),
        (("digits",), {"size": 16}, "size = 16 is for a folder of images"),
        (("fashion-mnist",), {"sha256": "0"}, "folder of four files"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(arguments: tuple, options: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        load(*arguments, **options)
    assert "\n" not in str(caught.value)
