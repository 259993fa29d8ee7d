"""Files: JSON and arrays read back, and what is written there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noncollapse.errors import RecordError

if TYPE_CHECKING:
    from dynamics.run import Array


def parsed(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The JSON value of a text; `pairs` makes its objects. Raises ValueError, also where Python gives up: on lists nested too
    deeply, or on a number of thousands of digits."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("its lists or objects are nested too deeply") from None


def read_json(path: Path) -> Any:
    """The JSON value of a file. Raises OSError or ValueError."""
    return parsed(path.read_text(encoding="utf-8"))


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npz by name. Raises OSError, or ValueError where it is no whole .npz."""
    import numpy as np

    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    except OSError:
        raise
    except Exception as error:  # numpy and zipfile meet torn bytes with whatever they stumble over
        raise ValueError(f"{path} is no whole .npz ({error})") from None


def holds_arrays(path: Path) -> bool:
    """True if the file is an .npz that can be read to its end."""
    try:
        read_arrays(path)
    except (OSError, ValueError):
        return False
    return True


def digest_of(place: Path) -> str:
    """sha256 (16 hex) of a file, or of a folder's files with their names; "" where there is neither. Raises OSError."""
    if not place.is_dir():
        return _digest(place)[:16] if place.is_file() else ""
    files = sorted(path for path in place.rglob("*") if path.is_file())
    listed = json.dumps([[str(path.relative_to(place)), _digest(path)] for path in files])
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write to, which takes the name `path` at the end of the block; where something fails it is gone, and what had
    that name stays. Raises RecordError where a folder has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except IsADirectoryError:
        raise RecordError(f"{path} is a folder, where a record must go: move it away") from None
    finally:
        with suppress(OSError):  # where all went well there is none
            part.unlink()
