"""Folders of images read back; what is wrong with one is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from data_cases import FIFTH, encoded, nowhere, pixels, rng
from PIL import Image

from full_models.data import DataError, load

torch.set_num_threads(1)
__all__ = ["nowhere"]  # the fixture


def paint(file: Path, image: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, name in enumerate(("cats", "dogs")):
        for i in range(FIFTH):
            paint(tmp_path / "pets" / name / f"{i}.png", np.full((20, 40, 3), 60 * label + i, np.uint8))
    return tmp_path / "pets"


def test_class_folders_are_labels_in_sorted_order(folder: Path) -> None:
    train, test = load(str(folder)), load(str(folder), "test", size=16)
    assert train.shape == (3, 32, 32) and test.shape == (3, 16, 16) and train.name == "pets"
    assert train.labels is not None and train.labels.tolist() == [0] * 4 + [1] * 4
    assert train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 60, 61, 62, 63]  # constant images resize to themselves
    assert test.images[:, 2, 5, 5].tolist() == [4, 64] and test.labels is not None and test.labels.tolist() == [0, 1]


def test_train_and_test_folders_are_the_splits(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "both"
    root.mkdir()
    folder.rename(root / "train")
    for name in ("cats", "dogs"):
        paint(root / "test" / name / "one.png", np.full((8, 8), 9, np.uint8))
    assert len(load(str(root))) == 10 and load(str(root), "test").shape == (1, 32, 32)
    (root / "test" / "dogs").rename(root / "test" / "birds")
    with pytest.raises(DataError, match="differ between train and test"):
        load(str(root))


def test_the_shorter_side_is_resized_and_the_centre_cut(tmp_path: Path) -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    for i in range(FIFTH):
        paint(tmp_path / "wide" / f"{i}.png", wide)
    data = load(str(tmp_path / "wide"), size=8)
    assert data.labels is None and data.shape == (1, 8, 8) and (data.images == 200).all()
    assert not (load(str(tmp_path / "wide"), size=4).images == 200).all()  # bicubic reaches past the cut: not a crop


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    image = pixels(8, 8, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: to be turned by 90 degrees clockwise
    for i in range(FIFTH):
        file = tmp_path / "photos" / f"{i}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(encoded(image, "PNG", exif=exif))
    turned = np.moveaxis(np.rot90(image, -1), -1, 0)
    assert torch.equal(load(str(tmp_path / "photos"), size=8).images[0], torch.from_numpy(turned.copy()))


def corrupt(folder: Path) -> None:
    file = folder / "dogs" / "3.png"
    file.write_bytes(file.read_bytes()[:60])


def sixteen_bit(folder: Path) -> None:
    Image.fromarray(rng().integers(0, 60000, (9, 9)).astype(np.uint16)).save(folder / "dogs" / "3.png")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (corrupt, r"dogs.3.png is no readable image \(.*\): remove or replace it"),
        (lambda f: (f / "cats" / "1.png").write_text("words"), "cats.1.png is no readable image"),
        (sixteen_bit, "dogs.3.png has pixels of mode I;16, not of 8 bits"),
        (lambda f: paint(f / "loose.png", pixels(4, 4)), "images beside class folders, such as loose.png"),
        (lambda f: [file.unlink() for file in f.rglob("*.png")], "has no images: give a folder of .*png"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_sentence(folder: Path, spoil, sentence: str) -> None:
    load(str(folder))
    spoil(folder)
    with pytest.raises(DataError, match=sentence) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
