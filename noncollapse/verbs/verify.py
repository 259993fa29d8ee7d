"""`noncollapse verify [ID...]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from noncollapse.errors import UsageError
from noncollapse.verbs.common import add_ids, add_jobs, claims, made


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ids(parser, "all")
    parser.add_argument(
        "--budget", choices=("quick", "standard", "full"), default="quick", help="scales samples, not tolerances"
    )
    parser.add_argument("--rung", action="append", choices=("proof", "exact", "flow", "descent", "sgd", "deep"),
                        help="only this rung (repeatable); leaves the whole record as it is")  # fmt: skip
    parser.add_argument("--setting", metavar="JSON",
                        help="check at this one Setting, write no record; what it does not say is as in the claim's own")  # fmt: skip
    add_jobs(parser)
    parser.add_argument("--seed", type=int, help="seed of the search (default 0)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where deep networks train (default cpu)"
    )
    parser.add_argument("--force", action="store_true", help="run again even where a record is fresh")
    parser.add_argument("--publish", action="store_true", help="write the verdicts into the ledger")


def resumes(args: argparse.Namespace) -> bool:
    """True if the same command would go on from what an interrupt left."""
    return args.setting is None and not args.rung and not args.force


def run(args: argparse.Namespace) -> int:
    ids = claims(args.ids)
    if args.setting is not None:
        return _at_setting(args, ids)
    if args.publish and args.rung:
        raise UsageError("--publish needs whole records: leave out --rung")
    if args.device == "cuda":
        _need_gpu()
    from noncollapse.verify import verify

    errors = verify(
        ids,
        made(args.results),
        args.budget,
        args.jobs,
        args.seed or 0,
        tuple(args.rung) if args.rung else None,
        args.force,
        args.device,
    )
    if args.rung:
        return _partial(args, ids, errors)
    return _judged(args, ids, errors)


def _judged(args: argparse.Namespace, ids: Sequence[str], errors: Sequence[str]) -> int:
    """The verdicts beside the ledger's."""
    from noncollapse.ledger import differences, publish, read_ledger
    from noncollapse.text import rows, word
    from noncollapse.verify import load_or_none

    records = {i: r for i in ids if (r := load_or_none(args.results, i)) is not None}
    if args.publish and not errors:
        changed = publish(records)
        print(f"published {len(records)} verdicts, {changed} changed", file=sys.stderr)
    wrong, table = differences(records, read_ledger()), rows(args.results, ids)
    if args.json:
        print(json.dumps({"claims": table, "differences": wrong, "errors": errors}, indent=1))
    else:
        for shown in table:
            print(f"{word(shown):<12} {shown['id']:<34} {shown['title']}")
    for line in [*errors, *wrong]:
        print(f"noncollapse: {line}", file=sys.stderr)
    return 1 if errors or wrong else 0


def _need_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU here; leave it out, the same networks train on the CPU")


def _partial(args: argparse.Namespace, ids: Sequence[str], errors: Sequence[str]) -> int:
    """What a climb of some rungs found; the whole records stay as they are."""
    from noncollapse.records import PARTIAL
    from noncollapse.text import deep_lines, evidence_lines
    from noncollapse.verify import load_or_none

    found = [record for i in ids if (record := load_or_none(args.results, i, PARTIAL)) is not None]
    if args.json:
        print(json.dumps({"partial": found, "errors": list(errors)}, indent=1))
    else:
        for record in found:
            print(f"{record['claim']} (only {', '.join(args.rung)}; no verdict)")
            lines = evidence_lines(record["proof"], record["evidence"]) + deep_lines(record["transfer"])
            print("\n".join(lines or ["  this rung asks nothing of it"]))
    for line in errors:
        print(f"noncollapse: {line}", file=sys.stderr)
    return 1 if errors else 0


def _at_setting(args: argparse.Namespace, ids: Sequence[str]) -> int:
    """The residual of named claims at one Setting on each rung: numbers, no verdict, no record."""
    from derivations.registry import CLAIMS
    from noncollapse.budget import BUDGETS
    from noncollapse.question import around, ladder_of, residual_of, said

    _refuse_what_has_no_say(args)
    rows: list[dict[str, Any]] = []
    for claim in (CLAIMS[i] for i in ids):
        setting = around(claim.base, args.setting)
        for rung in ladder_of(claim, args.rung):
            reading = residual_of(claim.id, rung, setting, BUDGETS[args.budget].replicas)
            rows.append({"claim": claim.id, "rung": rung, **reading})
    if all("error" in row for row in rows):
        first, others = rows[0], ""
        if len(rows) > 1:
            others = ", nor on another rung" if len(ids) == 1 else ", nor is there another claim or rung that can"
        raise UsageError(
            f"{first['claim']} cannot be read on {first['rung']} at this Setting{others}: {first['error']}"
        )
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        head = f"{row['claim']:<34} {row['rung']:<8}"
        if "error" in row:
            print(f"{head} cannot be read: {row['error']}")
            continue
        note = f" ({row['note']})" if row["note"] else ""
        print(f"{head} residual {row['residual']:.3e} vs {row['tolerance']:.1e}{note}  {said(row)}")
    return 0


def _refuse_what_has_no_say(args: argparse.Namespace) -> None:
    """Raises UsageError on an option that --setting would ignore."""
    if not args.ids:
        raise UsageError("--setting needs claim ids: name the claims to check there")
    given = {
        "--publish": args.publish,
        "--force": args.force,
        "--seed": args.seed is not None,
        "--device": args.device != "cpu",
    }
    for option in (name for name, is_given in given.items() if is_given):
        raise UsageError(
            f"{option} has no say with --setting, which searches nothing and writes no record: leave it out"
        )
