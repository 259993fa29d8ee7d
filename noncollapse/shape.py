"""The shape of a claim's record: what its readers (list, show, report, figures) rely on."""

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
    "transfer": {"says": str, "mean": NUMBER, "se": NUMBER, "n": int, "outcome": str},
}
WORDS = ("claim", "verdict", "reason")


def is_record(data: Any, claim_id: str) -> bool:
    """True if the data are a whole record of that claim, every number in it finite."""
    try:
        return (
            data["claim"] == claim_id
            and all(isinstance(data[key], str) and data[key] for key in WORDS)
            and data["provenance"]["budget"] in RANK
            and all(_fits(entry, LISTED[key]) for key in LISTED for entry in _list(data[key]))
            and all(data[key] is None or _fits(data[key], OPTIONAL[key]) for key in OPTIONAL)
        )
    except (KeyError, TypeError):
        return False


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _fits(entry: Mapping[str, Any], types: Mapping[str, Any]) -> bool:
    return all(isinstance(entry[key], kind) and _finite(entry[key]) for key, kind in types.items())


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
