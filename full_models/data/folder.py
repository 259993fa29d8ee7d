"""A folder of image files, brought to one size."""

from __future__ import annotations

from pathlib import Path

import torch

from full_models.data.encoded import decode
from full_models.data.imageset import DataError, ImageSet, Split, hold_out

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"}


def load_folder(folder: Path, split: Split, size: int) -> ImageSet:
    """Every image file under the folder, `size` pixels a side, in the order of sorted paths; named by the folder.

    Subfolders are classes, numbered in sorted order; a folder of files only has no labels. Subfolders `train` and `test`
    (both) are the splits, their subfolders the classes; otherwise each fifth image of a class is the test split. Grey if
    every file is, else RGB (transparency dropped). Raises DataError, naming the file, for one that is no 8-bit image.
    """
    splits = (folder / "train").is_dir() and (folder / "test").is_dir()
    if not splits:
        _check_no_split(folder)
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


def _check_no_split(folder: Path) -> None:
    """Raises DataError where `train` or `test` stands alone and holds classes: it would pass for one class itself."""
    for name, other in (("train", "test"), ("test", "train")):
        inside = folder / name
        if inside.is_dir() and any(sub.is_dir() and _files(sub) for sub in inside.iterdir()):
            raise DataError(f"{folder} has {name} and no {other}: name the other split's folder so, or give {inside}")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES)


def _class_names(folder: Path) -> list[str]:
    return sorted(sub.name for sub in folder.iterdir() if sub.is_dir() and _files(sub))
