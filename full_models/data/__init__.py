"""Images to train on, by name or by path, as stored: uint8, resident in memory, never normalised or augmented here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from dynamics.setting import SettingError
from full_models.data.arrays import is_npz, load_npz
from full_models.data.encoded import Encoded
from full_models.data.files import verify
from full_models.data.folder import load_folder
from full_models.data.imageset import DataError, ImageSet, Split, as_float
from full_models.data.named import cifar10, digits, fashion_mnist, stl10

__all__ = ["DATA", "DataError", "ImageSet", "Split", "as_float", "load"]

SIZE = 32  # pixels a side that a folder's images are brought to

Choice = Callable[[int], Tensor]  # number of images -> indices of those wanted, in the order wanted

DATA: dict[str, Callable[[Split, Path | None, str | None], ImageSet | Encoded]] = {
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
    "stl10": stl10,
}


def load(
    data: str = "digits",
    split: Split = "train",
    *,
    path: Path | None = None,
    sha256: str | None = None,
    size: int | None = None,
    choose: Choice | None = None,
) -> ImageSet:
    """A split of a data set: a name of DATA, the path of an .npz, or the path of a folder of images.

    path: where the named set's files are, instead of the usual places; sha256: what the one file read must hash to;
    size: pixels a side of a folder's images (32). choose: which of the split's images (None: all); others of an .npz of
    encoded images are not decoded. "unlabelled" exists for STL-10 alone. Same files, same images, in the same order. Raises DataError, one sentence with the remedy, for what is missing, broken or cannot be meant.
    """
    if split not in get_args(Split) or (split == "unlabelled" and data != "stl10"):
        raise DataError(f"{data} has no split {split!r}: use train or test (unlabelled is STL-10's)")
    if size is not None and (size < 1 or data in DATA or is_npz(Path(data))):
        raise DataError(f"size = {size} is for a folder of images: give a whole number >= 1, and only there")
    try:
        whole = _load(data, split, path, sha256, size)
    except SettingError as error:
        raise DataError(str(error)) from None
    if choose is None:
        return whole if isinstance(whole, ImageSet) else whole.take(torch.arange(len(whole)))
    return whole.take(choose(len(whole)))


def _load(data: str, split: Split, path: Path | None, sha256: str | None, size: int | None) -> ImageSet | Encoded:
    if data in DATA:
        return DATA[data](split, path, sha256)
    if path is not None:
        raise DataError(f"data {data!r} is not one of {', '.join(DATA)}, whose files a path would say")
    place = Path(data).expanduser()
    if is_npz(place):
        return load_npz(place, split, sha256)
    if not place.is_dir():
        raise DataError(f"data {data!r} is neither {', '.join(DATA)}, nor a folder of images, nor an .npz")
    if sha256 is not None:
        verify(place, sha256)
    return load_folder(place, split, size or SIZE)
