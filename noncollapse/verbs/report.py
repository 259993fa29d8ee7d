"""`noncollapse report`."""

from __future__ import annotations

import argparse
import json

from noncollapse.verbs.common import recorded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond what every verb takes."""


def run(args: argparse.Namespace) -> int:
    recorded(args.results)
    from noncollapse.drawing import report

    path = report(args.results)
    print(json.dumps({"report": str(path)}) if args.json else f"wrote {path}")
    return 0
