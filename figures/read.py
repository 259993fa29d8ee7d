"""Reading records. Every failure is one sentence that names the file and the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class UnreadableRecord(ValueError):
    """A record that is missing or cannot be read; the message ends with the remedy."""


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object in the file. Raises UnreadableRecord, ending with the remedy."""
    if not path.is_file():
        raise UnreadableRecord(f"{path} does not exist: {remedy}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise UnreadableRecord(f"{path} is not readable JSON: delete it, then {remedy}")
    return data


def read_arrays(path: Path, remedy: str) -> Arrays:
    """The arrays of an .npz by name. Raises UnreadableRecord, ending with the remedy."""
    if not path.is_file():
        raise UnreadableRecord(f"{path} does not exist: {remedy}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception:  # numpy and zipfile meet torn bytes with whatever they stumble over
        raise UnreadableRecord(f"{path} is not a readable array file: delete it, then {remedy}") from None


def verify_remedy(claim_id: str) -> str:
    """What to do about a claim's record that cannot be used."""
    return f"run `noncollapse verify {claim_id}`"


def read_record(results: Path, claim_id: str) -> dict[str, Any]:
    """A claim's record, its shape checked as far as drawing relies on it."""
    path = results / claim_id / "record.json"
    record = read_json(path, verify_remedy(claim_id))
    wrong = record.get("claim") != claim_id or "verdict" not in record
    if wrong or not isinstance(record.get("provenance"), dict):
        raise UnreadableRecord(f"{path} is no record of {claim_id}: delete it, then {verify_remedy(claim_id)}")
    return record


def finite(array: NDArray[Any], where: str) -> NDArray[Any]:
    """The array, unless it holds a number that is not finite: such a curve would silently lose its points."""
    if not np.isfinite(array).all():
        raise UnreadableRecord(f"{where} holds numbers that are not finite: run its claim again")
    return array
