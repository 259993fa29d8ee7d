"""`noncollapse draw [ID...]`."""

from __future__ import annotations

import argparse
import json
import sys

from noncollapse.verbs.common import add_ids, add_jobs, claims, recorded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ids(parser, "all, and the special pictures")
    add_jobs(parser)


def run(args: argparse.Namespace) -> int:
    recorded(args.results)
    ids = claims(args.ids)
    from noncollapse.drawing import draw

    paths, errors = draw(args.results, ids, special=not args.ids, jobs=args.jobs)
    if args.json:
        print(json.dumps({"figures": [str(p) for p in paths], "errors": errors}, indent=1))
    else:
        print(f"{len(paths)} figures in {args.results}")
    for line in errors:
        print(f"noncollapse: {line}", file=sys.stderr)
    return 1 if errors else 0
