"""Images from an .npz. Its keys say what it holds; any further keys are ignored.

    images[, labels][, test_images[, test_labels]]   (n, h, w), (n, c, h, w) or (n, h, w, c) with c = 1 or 3, or (n, D);
                                                     uint8, or finite floats (meant in [0, 1], kept as they are)
    x, x_plus                                        given pairs of views, of one shape as above, floats, no labels
    train_bytes, train_off, train_y, and test_…      encoded images (JPEG, PNG) of one size end to end, uint8: image i is
                                                     bytes[off[i]:off[i+1]], its label y[i]

Without test_images each fifth image of a class is the test split; pairs are split likewise.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from dynamics.images import image_pool
from dynamics.setting import ImageViews, SettingError
from full_models.data.encoded import Encoded
from full_models.data.files import verify
from full_models.data.imageset import DataError, ImageSet, Split, hold_out

MOST_CLASSES = 100_000  # ImageNet's largest edition has a fifth of these; a probe has a row of numbers for each


def is_npz(path: Path) -> bool:
    """By its name."""
    return path.suffix == ".npz"


def load_npz(path: Path, split: Split, sha256: str | None = None) -> ImageSet | Encoded:
    """The split of an .npz as described above, named by its file; encoded images are not decoded yet. Raises DataError."""
    if not path.is_file():
        raise DataError(f"{path} does not exist: give the path of an .npz of images")
    verify(path, sha256)
    try:
        with np.load(path) as data:
            keys = set(data.files)
            if {"x", "x_plus"} <= keys:
                return hold_out(_pairs(path), split)
            if f"{split}_bytes" in keys:
                return _encoded(path, *(data[f"{split}_{part}"] for part in ("bytes", "off", "y")))
            if "images" not in keys:
                raise DataError(f"{path} has keys {', '.join(sorted(keys))}: save images[, labels] or x and x_plus")
            prefix = "test_" if split == "test" and "test_images" in keys else ""
            labels = data[f"{prefix}labels"] if f"{prefix}labels" in keys else None
            whole = ImageSet(_images(path, data[f"{prefix}images"]), _labels(path, labels), path.stem)
    except DataError:
        raise
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an .npz ({error}): save plain arrays with np.savez") from None
    if whole.labels is not None and len(whole.labels) != len(whole):
        raise DataError(f"{path} has {len(whole)} images with {len(whole.labels)} labels: save one label an image")
    return whole if "test_images" in keys else hold_out(whole, split)


def _images(path: Path, array: np.ndarray) -> torch.Tensor:
    if array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[-1] in (1, 3):
        array = np.moveaxis(array, -1, 1)
    elif array.ndim in (2, 3):
        array = array[:, None] if array.ndim == 3 else array[:, None, None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(f"{path} has images of shape {array.shape}: save (n, h, w), (n, c, h, w) or (n, D)")
    if array.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(array))
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{path} has images of type {array.dtype}: save uint8 (0 to 255) or floats in [0, 1]")
    if not np.isfinite(array).all():
        raise DataError(f"{path} has NaN or infinite pixels: clean the images first")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _labels(path: Path, array: np.ndarray | None) -> torch.Tensor | None:
    if array is None:
        return None
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer) or (array.size and array.min() < 0):
        raise DataError(f"{path} has labels {array.shape} of {array.dtype}: save whole numbers >= 0, one an image")
    if array.size and array.max() >= MOST_CLASSES:
        raise DataError(f"{path} has labels up to {array.max()}: number the classes from 0, without gaps")
    return torch.from_numpy(array.astype(np.int64))


def _pairs(path: Path) -> ImageSet:
    try:
        pool = image_pool(ImageViews(data=str(path), augment="pairs", d=0), seed=0)
    except SettingError as error:
        raise DataError(str(error)) from None
    x, x_plus = (_images(path, pool.x[:, view].reshape(-1, *pool.shape)) for view in (0, 1))
    return ImageSet(x, None, path.stem, partner=x_plus)


def _encoded(path: Path, raw: np.ndarray, offsets: np.ndarray, y: np.ndarray) -> Encoded:
    offsets, labels = offsets.astype(np.int64), _labels(path, y)
    if labels is None or len(offsets) != len(y) + 1 or (np.diff(offsets) <= 0).any() or offsets[-1] > len(raw):
        raise DataError(f"{path} has offsets that do not cut its bytes into {len(y)} images: save them again")
    return Encoded(raw.tobytes(), offsets, labels, path.stem, path)
