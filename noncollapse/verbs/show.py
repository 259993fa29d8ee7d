"""`noncollapse show ID`."""

from __future__ import annotations

import argparse
import json

from noncollapse.verbs.common import claims


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")


def run(args: argparse.Namespace) -> int:
    (claim_id,) = claims([args.id])
    from derivations.registry import CLAIMS
    from noncollapse.records import load
    from noncollapse.text import page, rows

    claim, record = CLAIMS[claim_id], load(args.results, claim_id) or {}
    stated, needed = ([{"name": a.name, "says": a.says} for a in group] for group in (claim.states, claim.needs))
    data = {
        **rows(args.results, [claim_id])[0], "statement": claim.statement, "source": claim.source,
        "assumptions": {"stated": stated, "needed": needed}, "scope": claim.scope, "explains": claim.explains,
        "untestable": claim.untestable, "reason": record.get("reason"), "proof": record.get("proof", [{"says": s.says} for s in claim.proof]),
        "counterexample": record.get("counterexample"), "evidence": record.get("evidence", []),
        "controls": record.get("controls", []), "transfer_detail": record.get("transfer"),
        "provenance": record.get("provenance"),
    }  # fmt: skip
    print(json.dumps(data, indent=1) if args.json else "\n".join(page(data)))
    return 0
