"""What this process may use of its machine: all of it, or what a mask of cores, a scheduler or a container leaves.

Linux names the groups a process is in in /proc/self/cgroup, of version 2 (one hierarchy) or 1 (one a controller); a limit
of a group holds for all below it. Elsewhere the whole machine counts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path("/")  # of the files read here; a test gives another


@lru_cache
def cores() -> int:
    """Cores that this process may use at once, at least 1."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [quota / period for quota, period in _quotas() if 0 < quota < math.inf and period > 0]
    return max(1, min([free, *(math.ceil(share) for share in shares)]))


@lru_cache
def memory() -> int:
    """Bytes of memory that this process may use, others' share of them included."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_numbers(group / name) for group, name in _files("memory", "memory.max", "memory.limit_in_bytes")]
    return int(min([whole, *(limit[0] for limit in limits if limit)]))


def check_memory(needed: int, what: str) -> None:
    """Raises MemoryError where so many bytes can never fit: Linux gives them all the same, and kills who writes to them."""
    if needed > memory():
        raise MemoryError(f"{what} needs {needed / 2**30:.3g} GiB, and there are {memory() / 2**30:.3g}")


def _quotas() -> Iterator[tuple[float, float]]:
    """(microseconds of all cores, of the clock) of every group that limits them."""
    for group, name in _files("cpu", "cpu.max", "cpu.cfs_quota_us"):
        quota = _numbers(group / name)
        period = quota[1:] or _numbers(group / "cpu.cfs_period_us")
        if quota and period:
            yield quota[0], period[0]


def _files(controller: str, new: str, old: str) -> Iterator[tuple[Path, str]]:
    """(folder, name of the limit) of this process's group and of all above it, by either version. A container may show its own
    group as the root, and name it as the machine does: folders that are not there are for the reader to skip."""
    base = ROOT / "sys" / "fs" / "cgroup"
    for line in _text(ROOT / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        top, name = (base, new) if not controllers else (base / controller, old)
        if not controllers or controller in controllers.split(","):
            group = top / path.strip("/")
            yield from ((folder, name) for folder in (group, *group.parents) if folder.is_relative_to(top))


def _numbers(file: Path) -> list[float]:
    """[] where the file is not there; "max" is no limit."""
    words = _text(file).split()
    return [math.inf if word == "max" else float(word) for word in words]


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
