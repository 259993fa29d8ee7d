"""Files of pictures and pages, written whole or not at all; this room may not use the records' own writer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write to, which takes the name `path` at the end of the block; where something fails it is gone, and what had
    that name stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        with suppress(OSError):  # where all went well there is none
            part.unlink()
