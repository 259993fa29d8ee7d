"""Records: what a climb leaves on disk, with provenance; read back by the report, the figures and a resumed run."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noncollapse.budget import RANK
from noncollapse.catalogue import catalogue
from noncollapse.errors import RecordError
from noncollapse.files import holds_arrays, read_json, whole
from noncollapse.shape import is_record
from noncollapse.sources import sources_of

if TYPE_CHECKING:
    from dynamics.run import Array

WHOLE, PARTIAL, TRACE = "record.json", "partial.json", "trace.npz"
LIBRARIES = ("numpy", "scipy", "numba", "sympy", "torch", "hypothesis", "scikit-learn")


def folder(results: Path, claim_id: str) -> Path:
    """Where a claim's records, trace and picture lie."""
    return results / claim_id


def sources_hash(claim_id: str) -> str:
    """sha256 (16 hex) of the code that the claim's record depends on."""
    return sources_of(next(e.module for e in catalogue() if e.id == claim_id))


def provenance() -> dict[str, Any]:
    """Versions, machine and date of a run made now."""
    from importlib import metadata

    return {
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def save(results: Path, record: dict[str, Any], trace: dict[str, Array], partial: bool = False) -> None:
    """Write record and trace; each appears whole or not at all. A partial climb goes beside the whole record, never
    over it."""
    place = folder(results, record["claim"])
    place.mkdir(parents=True, exist_ok=True)
    record["provenance"] |= {**provenance(), "sources": sources_hash(record["claim"])}
    if partial:
        write_json(place / PARTIAL, record)
        return
    if trace:
        write_arrays(place / TRACE, trace)
    write_json(place / WHOLE, record)


def write_json(path: Path, data: Any) -> None:
    """Whole or not at all. Raises ValueError for a number that is not finite, RecordError where a folder has that name."""
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_arrays(path: Path, arrays: dict[str, Array]) -> None:
    """An .npz of the arrays, whole or not at all. Raises RecordError where a folder has that name."""
    import numpy as np

    with whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def load(results: Path, claim_id: str, name: str = WHOLE) -> dict[str, Any] | None:
    """The record, or the one of a PARTIAL climb; None if there is none. Raises RecordError if it cannot be read."""
    path = folder(results, claim_id) / name
    if not path.is_file():
        return None
    try:
        record = read_json(path)
        if is_record(record, claim_id):
            return record
    except (OSError, ValueError):
        pass  # said below, as for a record of the wrong shape
    raise RecordError(f"{path} is not a readable record: `noncollapse verify {claim_id}` writes it anew")


def is_stale(record: dict[str, Any]) -> bool:
    """True if the sources changed since the record was made."""
    return record["provenance"].get("sources") != sources_hash(record["claim"])


def is_fresh(results: Path, record: dict[str, Any] | None, budget: str, seed: int) -> bool:
    """True if nothing would be gained by running again: same sources, same seed, no smaller budget, and the curves of its
    picture beside it."""
    if record is None or is_stale(record) or record["provenance"].get("seed") != seed:
        return False
    drawable = not record["picture"] or holds_arrays(folder(results, record["claim"]) / TRACE)
    return RANK[record["provenance"]["budget"]] >= RANK[budget] and drawable
