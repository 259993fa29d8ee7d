"""What tests of sweeps hand out: work that dies or fails on purpose, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from noncollapse.engine import processes

forked = partial(
    processes, method="fork"
)  # no thread runs in the tests' process, and a spawned one imports for seconds


def square(x: int, log: Path | None = None) -> int:
    """x², and a line in `log` for every time it was asked."""
    if log is not None:
        with log.open("a") as file:
            file.write(f"{x}\n")  # one short write with O_APPEND: lines of several processes do not mix
    return x * x


def square_or_die(x: int, deadly: int, log: Path, times: int = 1) -> int:
    """square, but the first `times` workers to meet `deadly` are killed on the spot, as the system's killer does it."""
    result = square(x, log)
    if x == deadly and Counter(log.read_text().split())[str(x)] <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def square_or_raise(x: int, bad: tuple[int, ...], log: Path) -> int:
    if x in bad:
        raise ArithmeticError(f"{x} has no square today")
    return square(x, log)


def value_of(x: int, value: Any) -> Any:
    return value


def asked(log: Path) -> Counter[str]:
    return Counter(log.read_text().split()) if log.exists() else Counter()


def recorded(folder: Path) -> list[int]:
    """The items of all records, each as often as it is recorded."""
    return sorted(x for path in folder.glob("*.json") for x in json.loads(path.read_text())["items"])


ITEMS = list(range(40))
SQUARES = [x * x for x in ITEMS]
