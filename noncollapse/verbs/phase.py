"""`noncollapse phase`: a phase diagram of one mode."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dynamics import machine
from noncollapse.errors import UsageError
from noncollapse.verbs.common import made

if TYPE_CHECKING:
    from noncollapse.diagram import Axis

LONGEST = 200  # bytes of a record's name: file systems take 255, and an ending and a process's number come behind it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--x", default="eta=0:0.3", metavar="NAME=LOW:HIGH[:log]", help="horizontal axis")
    parser.add_argument("--y", default="p0=0:1", metavar="NAME=LOW:HIGH[:log]", help="vertical axis")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="fixed",
        help="a value held fixed (repeatable): eta, a, c, alpha_p, beta (EMA target), p0, w0 (else on the parabola), tau0",
    )  # fmt: skip
    parser.add_argument("--size", default="400", metavar="N or NXxNY", help="pixels a side (default 400)")
    parser.add_argument(
        "--name", metavar="NAME", help="of the record (default: the axes and 6 digits that stand for the whole request)"
    )
    parser.add_argument(
        "-j", type=int, default=machine.cores(), metavar="N", dest="jobs", help="threads (default: cores)"
    )


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from figures import draw_diagram
    from noncollapse.diagram import parse_axis, parse_value, save

    x, y = parse_axis(args.x), parse_axis(args.y)
    fixed = [parse_value(text) for text in args.fixed]
    if len(dict(fixed)) < len(fixed):
        raise UsageError("--set names a parameter twice: name each once")
    size = _size(args.size)
    name = _name(x, y, dict(fixed), size) if args.name is None else args.name
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"--name {name!r}: give a plain file name")
    if len(os.fsencode(name)) > LONGEST:
        raise UsageError(f"--name has {len(os.fsencode(name))} bytes: give at most {LONGEST}")
    with tqdm(total=size[0] * size[1], unit="trajectories", unit_scale=True, leave=False,
              disable=None if os.environ.get("CI") is None else True, file=sys.stderr) as bar:  # fmt: skip
        record = save(made(args.results), name, x, y, dict(fixed), size, args.jobs, bar.update)
    figure = draw_diagram(args.results, name)
    if args.json:
        print(json.dumps(record | {"figure": str(figure)}, indent=1))
        return 0
    counts, total = record["counts"], size[0] * size[1]
    print(", ".join(f"{key} {count / total:.1%}" for key, count in counts.items() if count))
    print(f"{total} trajectories in {record['provenance']['seconds']} s; figure {figure}")
    for line in record["failures"]:
        print(f"noncollapse: {line}", file=sys.stderr)
    return 0


def _name(x: Axis, y: Axis, fixed: Mapping[str, float], size: tuple[int, int]) -> str:
    """eta-p0-3f2a91: another request never overwrites a diagram."""
    request = json.dumps([dataclasses.astuple(x), dataclasses.astuple(y), sorted(fixed.items()), size])
    return f"{x.name}-{y.name}-{hashlib.sha256(request.encode()).hexdigest()[:6]}"


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    try:
        width, height = (int(part) for part in (parts * 2 if len(parts) == 1 else parts))
    except ValueError:
        raise UsageError(f"--size {text!r}: give one number, as in 400, or two, as in 800x400") from None
    return width, height
