"""An .npz of images, of pairs, or of encoded images read back; what it may not hold is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from data_cases import FIFTH, encoded, nowhere, pixels, rng, save

from full_models.data import DataError, load

torch.set_num_threads(1)
__all__ = ["nowhere"]  # the fixture


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (pixels(10, 6, 5), lambda a: a[:, None]),
        (pixels(10, 3, 6, 5), lambda a: a),
        (pixels(10, 6, 5, 3), lambda a: np.moveaxis(a, -1, 1)),
        (pixels(10, 6, 5, 1), lambda a: np.moveaxis(a, -1, 1)),
        (rng().standard_normal((10, 7)), lambda a: a[:, None, None].astype(np.float32)),
    ],
    ids=["grey", "channels first", "channels last", "one channel last", "vectors"],
)
def test_an_npz_holds_images_in_any_usual_order(tmp_path: Path, stored: np.ndarray, expected) -> None:
    labels = np.repeat([4, 2], 5)
    data = save(tmp_path / "mine.npz", images=stored, labels=labels)
    train, test = load(data), load(data, "test")
    held = np.array([4, 9])  # the fifth of each class
    assert torch.equal(test.images, torch.from_numpy(expected(stored)[held]))
    assert torch.equal(train.images, torch.from_numpy(np.delete(expected(stored), held, 0)))
    assert test.labels is not None and test.labels.tolist() == [4, 2] and test.name == "mine"


def test_an_npz_with_a_test_split_keeps_it(tmp_path: Path) -> None:
    data = save(tmp_path / "two.npz", images=pixels(6, 4, 4), test_images=pixels(3, 4, 4, seed=1))
    assert len(load(data)) == 6 and load(data).labels is None
    assert torch.equal(load(data, "test").images, torch.from_numpy(pixels(3, 4, 4, seed=1))[:, None])


def test_an_npz_of_pairs_keeps_its_partners(tmp_path: Path) -> None:
    x, x_plus = rng().standard_normal((2, 10, 3, 4, 4))
    data = save(tmp_path / "pairs.npz", x=x, x_plus=x_plus)
    train = load(data)
    rows = np.arange(10) % FIFTH != FIFTH - 1
    assert train.partner is not None and train.labels is None
    assert torch.equal(train.images, torch.from_numpy(x[rows]).float())
    assert torch.equal(train.partner, torch.from_numpy(x_plus[rows]).float())
    with pytest.raises(DataError, match=r"x is \(10, 2\) and x_plus \(9, 2\)"):
        load(save(tmp_path / "odd.npz", x=x[:, 0, 0, :2], x_plus=x[:9, 0, 0, :2]))


def test_an_npz_of_encoded_images_is_decoded(tmp_path: Path) -> None:
    images = pixels(4, 32, 32, 3)
    files = [encoded(image, "PNG") for image in images]
    offsets = np.cumsum([0, *map(len, files)]).astype(np.int32)
    arrays = {
        "test_bytes": np.frombuffer(b"".join(files), np.uint8),
        "test_off": offsets,
        "test_y": np.array([3, 1, 4, 1], np.uint8),
    }
    data = save(tmp_path / "encoded.npz", **arrays)
    for test in (load("cifar10", "test", path=Path(data)), load(data, "test")):
        assert torch.equal(test.images, torch.from_numpy(np.moveaxis(images, -1, 1)))
        assert test.labels is not None and test.labels.tolist() == [3, 1, 4, 1]
    chosen = load(data, "test", choose=lambda n: torch.tensor([n - 1, 0]))
    assert torch.equal(chosen.images, test.images[[3, 0]]) and chosen.labels.tolist() == [1, 3]
    broken = arrays["test_bytes"].copy()
    broken[offsets[2] : offsets[3]] = 0
    with pytest.raises(DataError, match=r"image 2 of .*encoded.npz is no readable image"):
        load(save(tmp_path / "encoded.npz", **{**arrays, "test_bytes": broken}), "test")
    others = load(data, "test", choose=lambda n: torch.tensor([0, 1, 3]))  # the broken one is not decoded
    assert torch.equal(others.images, test.images[[0, 1, 3]])
    with pytest.raises(DataError, match="offsets that do not cut its bytes into 4 images"):
        load(save(tmp_path / "encoded.npz", **{**arrays, "test_off": offsets[::-1]}), "test")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"pictures": pixels(5, 4, 4)}, "has keys pictures: save images"),
        ({"images": pixels(5)}, r"images of shape \(5,\): save \(n, h, w\)"),
        ({"images": pixels(0, 4, 4)}, r"images of shape \(0, 1, 4, 4\)"),
        ({"images": rng().integers(0, 9, (5, 4, 4))}, "images of type int64: save uint8"),
        ({"images": np.full((5, 4, 4), np.nan)}, "NaN or infinite pixels"),
        ({"images": pixels(5, 4, 4), "labels": np.zeros(4, int)}, "5 images with 4 labels"),
        ({"images": pixels(5, 4, 4), "labels": np.zeros(5)}, r"labels \(5,\) of float64: save whole numbers"),
        ({"images": pixels(5, 4, 4), "labels": np.full(5, -1)}, "save whole numbers >= 0"),
        ({"images": np.array([None] * 5, object)}, "cannot be read as an .npz"),
    ],
)
def test_what_an_npz_may_not_hold_is_one_sentence(tmp_path: Path, arrays: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        load(save(tmp_path / "bad.npz", **arrays))
    assert "\n" not in str(caught.value) and "bad.npz" in str(caught.value)


def test_a_broken_npz_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "cut.npz"
    content = Path(save(file, images=pixels(50, 8, 8))).read_bytes()
    for broken in (b"", b"words", content[:500], content[:400] + bytes(50) + content[450:]):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=r"cut\.npz cannot be read as an \.npz"):
            load(str(file))
