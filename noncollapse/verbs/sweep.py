"""`noncollapse sweep ID --over PATH=VALUES ...`."""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dynamics.setting import ImageViews, Setting
from noncollapse.errors import RecordError, UsageError
from noncollapse.files import digest_of, parsed
from noncollapse.verbs.common import claims, made

MOST = 1_000_000  # Settings a sweep; beyond it give a coarser grid, or a phase diagram of one mode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the claim whose residual is taken")
    parser.add_argument("--over", action="append", default=[], metavar="PATH=VALUES",
                        help="an axis of the grid: LOW:HIGH:COUNT or a,b,c (repeatable)")  # fmt: skip
    parser.add_argument("--rung", choices=("exact", "flow", "descent", "sgd"), help="default: the claim's cheapest")
    parser.add_argument(
        "--setting",
        metavar="JSON",
        help="the Setting around which to sweep; what it does not say is as in the claim's own",
    )
    parser.add_argument(
        "--engine",
        default="processes",
        metavar="NAME",
        help='"processes", "processes:8", "dask" or "dask:tcp://host:8786" (default: a process a core)',
    )


def resumes(args: argparse.Namespace) -> bool:
    """True: every chunk is recorded as it is done."""
    return True


def run(args: argparse.Namespace) -> int:
    (claim_id,) = claims([args.id])
    from derivations.registry import CLAIMS
    from noncollapse.budget import BUDGETS
    from noncollapse.engine import engine_named
    from noncollapse.question import around, ladder_of, residual_of
    from noncollapse.records import sources_hash
    from noncollapse.sweep import SweepError, sweep

    claim = CLAIMS[claim_id]
    rung = ladder_of(claim, args.rung and [args.rung])[0]
    axes = _axes(args.over)
    points, items = _grid(around(claim.base, args.setting or "{}"), axes)
    work = partial(residual_of, claim_id, rung, replicas=BUDGETS["quick"].replicas)
    tag = sources_hash(claim_id) + _data_hash(items)
    try:
        found = sweep(work, items, made(args.results) / "sweeps", engine_named(args.engine), tag=tag)
    except SweepError as error:
        raise RecordError(str(error)) from None
    rows = [{**point, **reading} for point, reading in zip(points, found, strict=True)]
    if args.json:
        print(json.dumps({"claim": claim_id, "rung": rung, "rows": rows}, indent=1))
    else:
        print("\n".join(_table(claim_id, rung, list(axes), rows)))
    return 0


def _data_hash(settings: Sequence[Setting]) -> str:
    """Of the files of given pairs that the Settings read: changed, they are swept anew."""
    images = [setting.views for setting in settings if isinstance(setting.views, ImageViews)]
    return "".join(
        digest_of(Path(name)) for name in sorted({views.data for views in images if views.augment == "pairs"})
    )


def _axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """path -> values of every --over. Raises UsageError where there is none, or one path stands twice."""
    axes: dict[str, list[Any]] = {}
    for text in texts:
        path, values = _axis(text)
        if path in axes:
            raise UsageError(f"--over names {path} twice: name each axis once")
        axes[path] = values
    if not axes:
        raise UsageError("a sweep needs an axis: give --over PATH=VALUES, such as --over training.eta=0:0.3:7")
    return axes


def _axis(text: str) -> tuple[str, list[Any]]:
    """("training.eta", [0.0, 0.15, 0.3]) of "training.eta=0:0.3:3"; a,b,c are JSON values, lists too, or else words."""
    path, equals, values = text.partition("=")
    if not (path and equals and values):
        raise UsageError(
            f"--over {text!r}: write PATH=VALUES, such as training.eta=0:0.3:7 or objective.target=online,ema"
        )
    if values.count(":") == 2:
        first, last, number = values.split(":")
        try:
            low, high, count = float(first), float(last), int(number)
        except ValueError:
            raise UsageError(f"--over {text!r}: LOW:HIGH:COUNT are two numbers and a whole number") from None
        if count < 2:
            raise UsageError(f"--over {text!r}: give a COUNT of at least 2")
        _check_count(count)  # before they are written out, which a slip of the finger would never end
        return path, [low + (high - low) * i / (count - 1) for i in range(count)]
    try:
        return path, parsed(f"[{values}]")
    except json.JSONDecodeError:
        return path, [_plain(value) for value in values.split(",")]
    except ValueError as error:
        raise UsageError(f"--over {path}: its values cannot be read ({error}): give shorter ones") from None


def _check_count(count: int) -> None:
    if count > MOST:
        raise UsageError(f"the grid has {count} Settings: give at most {MOST}, or see `noncollapse phase`")


def _plain(value: str) -> Any:
    try:
        return parsed(value)
    except ValueError:
        return value


def _grid(setting: Setting, axes: dict[str, list[Any]]) -> tuple[list[dict[str, Any]], list[Setting]]:
    """Every combination of the axes, the last fastest: its values by path, and the Setting. Raises SettingError."""
    _check_count(math.prod(len(values) for values in axes.values()))
    points, items = [], []
    for values in itertools.product(*axes.values()):
        data: dict[str, Any] = setting.to_dict()
        point = dict(zip(axes, values, strict=True))
        for path, value in point.items():
            point[path] = _set(data, path, value)
        points.append(point)
        items.append(Setting.from_dict(data))
    return points, items


def _set(data: dict[str, Any], path: str, value: Any) -> Any:
    """Put the value there, a whole number as one where the Setting holds such; returns it."""
    head, _, tail = path.partition(".")
    place, key = (data, head) if not tail else (data.get(head), tail)
    if not isinstance(place, dict) or key not in place:
        raise UsageError(f"a Setting has no {path!r}: see README for its parts, such as training.eta or seed")
    whole = isinstance(place[key], int) and isinstance(value, float) and value.is_integer()
    place[key] = int(value) if whole else value
    return place[key]


def _table(claim_id: str, rung: str, paths: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[str]:
    from noncollapse.question import said

    widths = {path: max(len(path), *(len(_cell(row[path])) for row in rows)) + 2 for path in paths}
    lines = ["".join(path.rjust(widths[path]) for path in paths) + "    residual   tolerance"]
    for row in rows:
        head = "".join(_cell(row[path]).rjust(widths[path]) for path in paths)
        if "error" in row:
            lines.append(f"{head}  {row['error']}")
            continue
        note = f"  ({row['note']})" if row["note"] else ""
        lines.append(f"{head}{row['residual']:>12.2e}{row['tolerance']:>12.1e}{note}  {said(row)}")
    read = [row for row in rows if "error" not in row]
    held = sum(row["ok"] for row in read)
    unread = f"; {len(rows) - len(read)} could not be read" if len(read) < len(rows) else ""
    return [*lines, f"{claim_id} holds at {held} of {len(read)} Settings on {rung}{unread}"]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
