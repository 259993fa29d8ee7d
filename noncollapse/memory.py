"""A full memory, which Python, numpy and torch say in different ways."""

from __future__ import annotations

SIGNS = ("DefaultCPUAllocator", "out of memory", "Storage size calculation overflowed")  # of torch


def is_full(error: BaseException) -> bool:
    """True for MemoryError, and for what torch raises in its place: a bare RuntimeError on a CPU."""
    said = str(error)
    return isinstance(error, MemoryError) or any(sign in said for sign in SIGNS)


def words_of(error: BaseException) -> str:
    """What it says, on one line and without the place in torch's sources; "out of memory" where it says nothing."""
    line = next(iter(str(error).splitlines()), "")
    return line[line.find("DefaultCPUAllocator") :] if "DefaultCPUAllocator" in line else line or "out of memory"
