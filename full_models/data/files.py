"""Finding data on disk, and reading members of a folder or of a tar archive, without unpacking or running anything."""

from __future__ import annotations

import hashlib
import os
import pickle
import tarfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from full_models.data.imageset import DataError

PLACES = ("/usr/share/datasets", "~/.cache", "data")


def find(title: str, names: tuple[str, ...], variable: str, path: Path | None) -> Path:
    """`path` if given, else the environment variable's, else the first of PLACES/names that exists. Raises DataError."""
    given = path or os.environ.get(variable)
    if given:
        place = Path(given).expanduser()
        inside = [place / name for name in names if (place / name).exists()]
        if place.exists():
            return inside[0] if inside else place
        raise DataError(f"{title}: {place} does not exist; give the path of {' or '.join(names)}")
    for place in (Path(folder).expanduser() / name for folder in PLACES for name in names):
        if place.exists():
            return place
    raise DataError(
        f"{title} was not found: give the path of {' or '.join(names)}, set {variable} to it, or use digits"
    )


def verify(path: Path, sha256: str | None) -> None:
    """Raises DataError unless the file's SHA-256 is the hexadecimal one given; None asks nothing."""
    if sha256 is None:
        return
    if not path.is_file():
        raise DataError(f"{path} is no file, and a checksum is of one file: give an archive or an .npz, or no sha256")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise DataError(f"{path} has sha256 {found}, not {sha256}: fetch the file again")


def members(place: Path, top: str, names: list[str]) -> list[bytes]:
    """The contents of the named files in a folder (or its subfolder `top`), or of top/name in a tar archive, any
    compression, read in one pass. Raises DataError."""
    found: dict[str, bytes] = {}
    try:
        if place.is_dir():
            folder = place / top if (place / top).is_dir() else place
            found = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
        else:
            with tarfile.open(place) as archive:
                for entry in archive:
                    head, _, name = entry.name.removeprefix("./").rpartition("/")
                    if head == top and name in names and (file := archive.extractfile(entry)):
                        found[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{place} cannot be read ({error}): fetch it again") from None
    if missing := [name for name in names if name not in found]:
        raise DataError(f"{place} holds no {', '.join(missing)}: give the complete folder or archive {top}")
    return [found[name] for name in names]


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays and plain containers; a pickle that names anything else is refused, so none can run code."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        kind = module_name.replace("numpy._core", "numpy.core"), global_name
        if kind == ("numpy.core.multiarray", "_reconstruct"):
            return np.ndarray.__reduce__(np.empty(0))[0]  # numpy's own constructor, wherever this version keeps it
        if kind in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, global_name)
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}")


def unpickle(raw: bytes, name: str) -> Any:
    """The object of a pickle of arrays and plain containers, Python 2's strings as bytes. Raises DataError."""
    try:
        return _ArraysOnly(BytesIO(raw), encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{name} is not a pickle of arrays ({error}): fetch it again") from None
