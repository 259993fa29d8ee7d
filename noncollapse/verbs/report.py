"""`noncollapse report`."""

from __future__ import annotations

import argparse
import json

from noncollapse.verbs.common import recorded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond what every verb takes."""


def run(args: argparse.Namespace) -> int:
    recorded(args.results)
    from jinja2 import UndefinedError

    from noncollapse.catalogue import catalogue
    from noncollapse.drawing import report
    from noncollapse.records import load

    try:
        path = report(args.results)
    except (UndefinedError, LookupError, TypeError):
        for claim in catalogue():
            load(
                args.results, claim.id
            )  # a record of another shape is said; where all are whole, the fault is the code's
        raise
    print(json.dumps({"report": str(path)}) if args.json else f"wrote {path}")
    return 0
