"""A folder of image files, decoded by Pillow and brought to one size."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from full_models.data.imageset import DataError, ImageSet, Split, hold_out

GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"}


def load_folder(folder: Path, split: Split, size: int) -> ImageSet:
    """Every image file under the folder, `size` pixels a side, in the order of sorted paths; named by the folder.

    Subfolders are classes, numbered in sorted order; a folder of files only has no labels. Subfolders `train` and `test`
    (both) are the splits, their subfolders the classes; otherwise each fifth image of a class is the test split. Grey if
    every file is, else RGB (transparency dropped). Raises DataError, naming the file, for one that is no 8-bit image.
    """
    splits = (folder / "train").is_dir() and (folder / "test").is_dir()
    root = folder / split if splits else folder
    classes = sorted(sub for sub in root.iterdir() if sub.is_dir() and _files(sub))
    loose = sorted(file for file in root.iterdir() if file.suffix.lower() in SUFFIXES)
    if classes and loose:
        raise DataError(f"{root} has images beside class folders, such as {loose[0].name}: move them into one of these")
    paths = [(file, label) for label, sub in enumerate(classes) for file in _files(sub)] or [(f, 0) for f in loose]
    if not paths:
        raise DataError(f"{root} has no images: give a folder of {', '.join(sorted(SUFFIXES))} files")
    if (
        splits
        and classes
        and [c.name for c in classes] != _class_names(folder / ("train" if split == "test" else "test"))
    ):
        raise DataError(f"the class folders under {folder} differ between train and test: make them the same")
    files = [file for file, _ in paths]
    labels = torch.tensor([label for _, label in paths]) if classes else None
    whole = ImageSet(decode(files, [str(file) for file in files], size), labels, folder.name)
    return whole if splits else hold_out(whole, split)


def decode(files: Sequence[Path | bytes], names: Sequence[str], size: int | None = None) -> Tensor:
    """Image files, by path or as bytes, as uint8 (n, c, h, w); c = 1 if all are grey, else 3.

    size: the shorter side is brought to it (Pillow's antialiased bicubic), then the centre square is cut; None: as they
    are, all of one size. Raises DataError with the file's name for one that is broken, of another size or not 8-bit.
    """
    one = partial(_decode, size=size)
    if isinstance(files[0], bytes):  # small images in memory decode faster than threads hand them over
        arrays = list(map(one, files, names))
    else:  # Pillow reads and decodes without holding the interpreter's lock
        with ThreadPoolExecutor() as pool:
            arrays = list(pool.map(one, files, names))
    grey = all(array.ndim == 2 for array in arrays)
    for array, name in zip(arrays, names, strict=True):
        if array.shape[:2] != arrays[0].shape[:2]:
            raise DataError(f"{name} has {array.shape[:2]} pixels, {names[0]} {arrays[0].shape[:2]}: give a size")
    if grey:
        return torch.from_numpy(np.stack(arrays)[:, None])
    stack = np.stack([array if array.ndim == 3 else np.repeat(array[..., None], 3, -1) for array in arrays])
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(stack, -1, 1)))


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


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES)


def _class_names(folder: Path) -> list[str]:
    return sorted(sub.name for sub in folder.iterdir() if sub.is_dir() and _files(sub))
