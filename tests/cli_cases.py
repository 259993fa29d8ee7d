"""Words and checks for tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from noncollapse import cli

DONE = ("unit-vector-identity", "collapse-entropy", "invariance-flow")  # verified, conditional, and one with a picture
VERBS = tuple(cli.VERBS)
ONE = DONE[0]
AT = '{"views": {"kind": "points"}, "objective": {"loss": "info_nce"}}'


class Said(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Said]


def files(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(root)): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(root.rglob("*")) if p.is_file()
    }


def one_sentence(said: Said, *words: str) -> None:
    """Exit 2 and one line on stderr that says all the words."""
    assert said.code == 2, said
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("noncollapse: ")
    assert "Traceback" not in said.err + said.out
    for word in words:
        assert word in lines[0]
