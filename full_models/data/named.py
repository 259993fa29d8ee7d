"""The data sets with a name: digits, Fashion-MNIST, CIFAR-10, STL-10, from their authors' own files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dynamics.images import fashion_folder, load_images, read_idx
from full_models.data.arrays import is_npz, load_npz
from full_models.data.encoded import Encoded
from full_models.data.files import find, members, unpickle, verify
from full_models.data.imageset import DataError, ImageSet, Split

DIGITS_TEST = 500  # the last images of the set; 1,297 before them are for training


def digits(split: Split, path: Path | None, sha256: str | None) -> ImageSet:
    """scikit-learn's 1,797 digits of 8x8, grey levels 0 … 16 as round(255/16 · level): train the first 1,297, test the
    last 500, not shuffled: neighbours in the set are alike (a random split is easier by 1.5% for 5-NN on pixels)."""
    if path or sha256:
        raise DataError("digits come with scikit-learn, not from a path: give no path and no sha256")
    pixels, labels = load_images("digits")
    part = slice(-DIGITS_TEST, None) if split == "test" else slice(None, -DIGITS_TEST)
    return _image_set(np.rint(255 * pixels[part, None]).astype(np.uint8), labels[part], "digits")


def fashion_mnist(split: Split, path: Path | None, sha256: str | None) -> ImageSet:
    """60,000 train and 10,000 test images of 28x28, one channel, from the four idx.gz files in a folder."""
    if sha256:
        raise DataError("Fashion-MNIST is a folder of four files, and a checksum is of one: give no sha256")
    folder = path or fashion_folder()
    stem = "t10k" if split == "test" else "train"
    images = read_idx(folder / f"{stem}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{stem}-labels-idx1-ubyte.gz")
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(f"{folder} has images {images.shape} with labels {labels.shape}: fetch its files again")
    return _image_set(images[:, None], labels, "fashion-mnist")


def cifar10(split: Split, path: Path | None, sha256: str | None) -> ImageSet | Encoded:
    """50,000 train and 10,000 test images of 3x32x32: the folder cifar-10-batches-py or its tar.gz (Krizhevsky 2009),
    or an .npz of JPEG bytes as in `full_models.data.arrays`, whose images are those after JPEG's loss."""
    names = ("cifar-10-batches-py", "cifar-10-python.tar.gz", "cifar10_jpeg.npz")
    place = find("CIFAR-10", names, "NONCOLLAPSE_CIFAR10", path)
    if is_npz(place):
        return load_npz(place, split, sha256)
    verify(place, sha256)
    wanted = ["test_batch"] if split == "test" else [f"data_batch_{k}" for k in range(1, 6)]
    batches = [unpickle(raw, name) for raw, name in zip(members(place, names[0], wanted), wanted, strict=True)]
    try:
        images = np.concatenate([np.asarray(batch[b"data"], np.uint8) for batch in batches]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([np.asarray(batch[b"labels"], np.int64) for batch in batches])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{place} has a batch without 3x32x32 data and labels ({error!r}): fetch it again") from None
    if len(labels) != len(images):
        raise DataError(f"{place} has {len(images)} images with {len(labels)} labels: fetch it again")
    return _image_set(images, labels, "cifar10")


def stl10(split: Split, path: Path | None, sha256: str | None) -> ImageSet:
    """5,000 train, 8,000 test and 100,000 unlabelled images of 3x96x96: the folder stl10_binary or its tar.gz (Coates et
    al. 2011). The files hold columns before rows, and labels from 1; here rows come first and labels start at 0."""
    names = ("stl10_binary", "stl10_binary.tar.gz")
    place = find("STL-10", names, "NONCOLLAPSE_STL10", path)
    verify(place, sha256)
    stem = {"train": "train", "test": "test", "unlabelled": "unlabeled"}[split]
    wanted = [f"{stem}_X.bin"] + ([] if split == "unlabelled" else [f"{stem}_y.bin"])
    raw, *named = (np.frombuffer(content, np.uint8) for content in members(place, names[0], wanted))
    labels = named[0].astype(np.int64) - 1 if named else None
    if raw.size % (3 * 96 * 96) or (labels is not None and raw.size != 3 * 96 * 96 * labels.size):
        raise DataError(f"{place} has {raw.size} bytes in {wanted[0]}, not 3x96x96 an image: fetch it again")
    return _image_set(raw.reshape(-1, 3, 96, 96).swapaxes(-1, -2), labels, "stl10")


def _image_set(images: np.ndarray, labels: np.ndarray | None, name: str) -> ImageSet:
    owned = torch.from_numpy(np.array(images, dtype=np.uint8, order="C"))  # a writable copy: views of bytes are not
    return ImageSet(owned, None if labels is None else torch.from_numpy(np.asarray(labels).astype(np.int64)), name)
