"""The catalogue: what `list` shows of every claim, without loading the claims.

Building it imports every claim and with them sympy. The result is kept in the user's cache folder under the hash of the
derivations it was read from, so that it is never older than they are.
"""

from __future__ import annotations

import dataclasses
import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from noncollapse.errors import RecordError, UsageError
from noncollapse.files import read_json, whole
from noncollapse.sources import ROOT, hash_of

if TYPE_CHECKING:
    from derivations.claim import Claim


@dataclass(frozen=True)
class Entry:
    """A claim without its mathematics; untestable: why nothing can be run, or ""; module: the file of derivations/ that holds it."""

    id: str
    section: str
    title: str
    corrected_by: str | None
    untestable: str
    module: str


def catalogue() -> tuple[Entry, ...]:
    """Every registered claim, in the order of the report."""
    path = _cache() / f"catalogue-{hash_of(sorted((ROOT / 'derivations').glob('*.py')))}.json"
    try:
        return tuple(Entry(**row) for row in read_json(path))
    except (OSError, ValueError, TypeError):
        pass  # not built yet, or damaged: built below
    CLAIMS, MODULES = _registered()
    entries = tuple(
        Entry(c.id, c.section, c.title, c.corrected_by, c.untestable, MODULES[c.id]) for c in CLAIMS.values()
    )
    try:
        with whole(path) as part:
            part.write_text(json.dumps([dataclasses.asdict(e) for e in entries]), encoding="utf-8")
    except (OSError, RecordError):
        pass  # a cache that cannot be written costs half a second the next time
    return entries


def _registered() -> tuple[Mapping[str, Claim], Mapping[str, str]]:
    """The claims, and the module of each, by id. Raises UsageError that names the file where one cannot be loaded."""
    try:
        from derivations.registry import CLAIMS, MODULES
    except Exception as error:  # whatever a module that somebody is writing may raise
        raise UsageError(
            f"{_place(error)} cannot be loaded ({type(error).__name__}: {error}): mend it, or take its name out of "
            "derivations/registry.py"
        ) from None
    return CLAIMS, MODULES


def _place(error: Exception) -> str:
    """file:line of derivations/ that was being loaded when it was raised, not of the function called there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if f.name == "<module>" and Path(f.filename).parent == ROOT / "derivations"
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "derivations/"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "noncollapse"
