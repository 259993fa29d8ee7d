"""Checkpoints: a file that appears whole or not at all, and holds all that the rest of a run depends on."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from full_models.training.recipe import RecipeError

NAME = "checkpoint.pt"


def write(folder: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values; a kill at any moment leaves the previous checkpoint readable. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{NAME}.part"  # one name: what a kill leaves behind, the next write takes
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / NAME)
    except RuntimeError as error:
        # torch's, of the archive's end, hides what kept it from there: a full disk, an interrupt
        raise error.__context__ or error from None
    finally:
        part.unlink(missing_ok=True)


def read(folder: Path, device: str) -> dict[str, Any] | None:
    """The checkpoint's content on the device, None if there is none. Raises RecipeError if it cannot be read to its end."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        if _is_whole(path):
            return torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        pass  # said below
    raise RecipeError(f"{path} is not a readable checkpoint: delete it and train again")


def _is_whole(path: Path) -> bool:
    """True if every part of the file has its checksum, which torch does not look at."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # it meets torn bytes with whatever it stumbles over
        return False
