"""Encoded images, decoded by Pillow: those that are wanted, and no others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

from full_models.data.imageset import DataError, ImageSet

GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")


@dataclass(frozen=True)
class Encoded:
    """n files end to end, as stored: file i is content[offsets[i] : offsets[i + 1]]; labels (n,) int64.

    Decoding costs 0.2 ms an image of 32x32: `take` does it to the chosen ones alone. name: of the set; place: where the
    files are, for what is said of a broken one.
    """

    content: bytes
    offsets: np.ndarray
    labels: Tensor
    name: str
    place: Path

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: Tensor) -> ImageSet:
        """The images at indices over n, in their order, decoded. Raises DataError, naming the image, for a broken one."""
        files = [self.content[self.offsets[i] : self.offsets[i + 1]] for i in chosen.tolist()]
        images = decode(files, [f"image {i} of {self.place}" for i in chosen.tolist()])
        return ImageSet(images, self.labels[chosen], self.name)


def decode(files: Sequence[Path | bytes], names: Sequence[str], size: int | None = None) -> Tensor:
    """Image files, by path or as bytes, as uint8 (n, c, h, w); c = 1 if all are grey, else 3.

    size: the shorter side is brought to it (Pillow's antialiased bicubic), then the centre square is cut; None: as they
    are, all of one size. Raises DataError with the file's name for one that is broken, of another size or not 8-bit.
    """
    one = partial(_decode, size=size)
    if isinstance(files[0], bytes):  # small images in memory decode faster than threads hand them over
        arrays = _watched(map(one, files, names), len(files))
    else:  # Pillow reads and decodes without holding the interpreter's lock
        with ThreadPoolExecutor() as pool:
            arrays = _watched(pool.map(one, files, names), len(files))
    grey = all(array.ndim == 2 for array in arrays)
    for array, name in zip(arrays, names, strict=True):
        if array.shape[:2] != arrays[0].shape[:2]:
            raise DataError(f"{name} has {array.shape[:2]} pixels, {names[0]} {arrays[0].shape[:2]}: give a size")
    if grey:
        return torch.from_numpy(np.stack(arrays)[:, None])
    stack = np.stack([array if array.ndim == 3 else np.repeat(array[..., None], 3, -1) for array in arrays])
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(stack, -1, 1)))


def _watched(images: Iterable[np.ndarray], total: int) -> list[np.ndarray]:
    """The images, with a bar where someone watches and it takes longer than a second."""
    hidden = True if os.environ.get("CI") is not None or os.environ.get("RANK", "0") != "0" else None
    bar = tqdm(images, "decoding", total, leave=False, file=sys.stderr, unit="image", disable=hidden, delay=1.0)
    return list(bar)


def _decode(file: Path | bytes, name: str, size: int | None) -> np.ndarray:
    """(h, w) uint8 if grey, else (h, w, 3)."""
    try:
        with Image.open(BytesIO(file) if isinstance(file, bytes) else file) as image:
            if image.mode not in GREY + COLOUR:
                raise DataError(f"{name} has pixels of mode {image.mode}, not of 8 bits: save it as 8-bit grey or RGB")
            upright = ImageOps.exif_transpose(image).convert("L" if image.mode in GREY else "RGB")
            if size is not None:
                upright = ImageOps.fit(upright, (size, size), Image.Resampling.BICUBIC)
            return np.asarray(upright)
    except DataError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is no readable image ({error}): remove or replace it") from None
