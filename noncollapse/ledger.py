"""The ledger: the published verdicts, committed with the code, changed only by `verify --publish`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noncollapse.errors import RecordError
from noncollapse.files import read_json
from noncollapse.records import write_json

LEDGER = Path(__file__).with_name("ledger.json")


def read_ledger(path: Path = LEDGER) -> dict[str, str]:
    """id -> published verdict; empty before the first publish. Raises RecordError if the file is damaged."""
    if not path.is_file():
        return {}
    try:
        entries = read_json(path)["verdicts"]
        return {str(k): str(v["verdict"]) for k, v in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecordError(f"{path} is not a readable ledger: restore it from version control") from None


def publish(records: Mapping[str, Mapping[str, Any]], path: Path = LEDGER) -> int:
    """Write the verdicts of these records into the ledger, beside the published ones; returns how many changed."""
    read_ledger(path=path)  # says it if the file is damaged, before anything is written over it
    old = read_json(path)["verdicts"] if path.is_file() else {}
    new = dict(old)
    for claim_id, record in records.items():
        source = record["provenance"]
        new[claim_id] = {"verdict": record["verdict"], "proved": record["proved"], "budget": source["budget"],
                         "sources": source["sources"], "date": source["date"][:10]}  # fmt: skip
    changed = sum(old.get(k, {}).get("verdict") != v["verdict"] for k, v in new.items())
    write_json(path, {"verdicts": dict(sorted(new.items()))})
    return changed


def differences(records: Mapping[str, Mapping[str, Any]], ledger: Mapping[str, str]) -> list[str]:
    """One line per claim whose computed verdict is an error or is not the published one."""
    out = []
    for claim_id, record in records.items():
        published, found = ledger.get(claim_id), record["verdict"]
        if found == "error":
            out.append(f"{claim_id}: {record['reason']}")
        elif published is not None and published != found:
            out.append(f"{claim_id}: computed {found}, the ledger says {published}")
    return out
