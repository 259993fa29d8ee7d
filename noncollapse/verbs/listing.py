"""`noncollapse list`."""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond what every verb takes."""


def run(args: argparse.Namespace) -> int:
    from noncollapse.text import rows, word

    table = rows(args.results)
    for line in (r["unreadable"] for r in table if r["unreadable"]):
        print(f"noncollapse: {line}", file=sys.stderr)
    if args.json:
        print(json.dumps(table, indent=1))
        return 0
    print(f"{'verdict':<12} {'ledger':<12} {'id':<34} {'section':<9} title")
    for r in table:
        mark, published = "*" if r["stale"] else " ", "" if r["untestable"] else r["published"]
        print(f"{word(r) + mark:<12} {published or '-':<12} {r['id']:<34} {r['section']:<9} {r['title']}")
    if any(r["stale"] for r in table):
        print("* stale: the sources changed since this record was made")
    if not any(r["budget"] or r["unreadable"] for r in table):
        print(f"nothing ran yet in {args.results}: start with `noncollapse verify`")
    return 0
