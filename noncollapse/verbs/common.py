"""What verbs share: the ids they were given, the number of processes, the folder of records."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dynamics import machine
from noncollapse.errors import UsageError


def add_ids(parser: argparse.ArgumentParser, default: str) -> None:
    """The claims by id, any number of them."""
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"claims (default: {default})")


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """-j, by default the cores that this process may use."""
    parser.add_argument(
        "-j", type=int, default=machine.cores(), metavar="N", dest="jobs", help="processes (default: cores)"
    )


def claims(ids: Sequence[str]) -> list[str]:
    """The ids without repeats, all claims where none is named. Raises UsageError on an unknown one."""
    import difflib

    from noncollapse.catalogue import catalogue

    known = [row.id for row in catalogue()]
    for i in ids:
        if i not in known:
            near = difflib.get_close_matches(i, known, 1)
            raise UsageError(
                f"unknown claim {i!r}" + (f": did you mean {near[0]}?" if near else ": see `noncollapse list`")
            )
    return list(dict.fromkeys(ids)) or known


def recorded(results: Path) -> None:
    """Raises UsageError if there is no folder of records."""
    if not results.is_dir():
        raise UsageError(
            f"no records in {results}: run `noncollapse verify` first, or name their folder with --results"
        )


def made(results: Path) -> Path:
    """The folder of records, made where it is not there: before hours are spent on what could not be kept. Raises
    UsageError if it cannot be made."""
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--results {results} cannot be made ({error.strerror}): name a folder to write to") from None
    return results
