"""The shape of records: what the readers of a claim's (list, show, report, figures) and of a training's (train) rely on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from noncollapse.budget import RANK

NUMBER = (int, float)
# key -> its type, of the objects that a record lists
LISTED: dict[str, dict[str, Any]] = {
    "proof": {"says": str, "proved": bool, "note": str},
    "evidence": {"rung": str, "under": str, "settings": int, "replicas": int, "residual": NUMBER, "tolerance": NUMBER,
                 "ok": bool, "law": str, "setting": dict},
    "controls": {"name": str, "residual": NUMBER, "tolerance": NUMBER, "failed": bool, "as_it_should": bool},
}  # fmt: skip
OPTIONAL: dict[str, dict[str, Any]] = {  # the same of objects that may be null
    "counterexample": {"setting": dict, "rung": str, "residual": NUMBER, "tolerance": NUMBER, "confirmed": list},
    "transfer": {"says": str, "mean": NUMBER, "se": NUMBER, "n": int, "outcome": str, "deep": list},
    "picture": {"xlabel": str, "ylabel": str, "rungs": list, "counterexample": bool, "setting": dict},
}
ASSUMED = {"name": str, "says": str}
CONFIRMED = {"rung": str, "residual": NUMBER, "tolerance": NUMBER}
TRAINED = {"recipe": dict, "steps": int, "images": int, "test_images": int, "parameters": int, "device": str}
READ = {"linear": NUMBER, "knn": NUMBER, "chance": NUMBER}
WORDS = ("claim", "verdict", "reason")
TEXTS = ("section", "title", "statement", "source", "scope", "explains", "untestable")


def is_record(data: Any, claim_id: str) -> bool:
    """True if the data are a whole record of that claim, every number in it finite."""
    try:
        return (
            data["claim"] == claim_id
            and all(isinstance(data[key], str) and data[key] for key in WORDS)
            and all(isinstance(data[key], str) for key in TEXTS)
            and isinstance(data["corrected_by"], str | None)
            and isinstance(data["proved"], bool)
            and data["provenance"]["budget"] in RANK
            and all(_fits(entry, LISTED[key]) for key in LISTED for entry in _list(data[key]))
            and all(data[key] is None or _fits(data[key], OPTIONAL[key]) for key in OPTIONAL)
            and all(_fits(entry, ASSUMED) for key in ("stated", "needed") for entry in _list(data["assumptions"][key]))
            and all(_fits(entry, CONFIRMED) for entry in (data["counterexample"] or {}).get("confirmed", ()))
        )
    except (KeyError, TypeError):
        return False


def is_training_record(data: Any) -> bool:
    """True if the data are a whole record of a training run, every number in it finite or null."""
    try:
        first, *others = data["rows"]
        return (
            _fits(data, TRAINED)
            and _fits(data["recipe"], {"method": str, "data": str, "batch": int})
            and _fits(data["provenance"], {"sources": str, "seconds": NUMBER})
            and isinstance(first["step"], int)
            and all(row.keys() == first.keys() for row in others)
            and all(value is None or _fits(row, {name: NUMBER}) for row in data["rows"] for name, value in row.items())
            and all(
                not data["probes"][name] or _fits(data["probes"][name], READ)
                for name in ("trained", "untrained", "pixels")
            )
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _fits(entry: Mapping[str, Any], types: Mapping[str, Any]) -> bool:
    return all(isinstance(entry[key], kind) and _finite(entry[key]) for key, kind in types.items())


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
