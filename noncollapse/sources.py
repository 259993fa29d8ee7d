"""Hashes of source files: by them a record knows whether the code that made it has changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ("ladder.py", "controls.py", "rungs.py", "search.py", "judge.py", "budget.py")


@lru_cache(maxsize=256)
def sources_of(module: str) -> str:
    """sha256 (16 hex) of the code that a claim of derivations/<module>.py depends on: that module and what it imports in
    derivations, dynamics, the networks of the cheaper rungs, the engine."""
    files = [*_with_imports(ROOT / "derivations" / f"{module}.py"), *(ROOT / "noncollapse" / name for name in ENGINE)]
    return _joint((*(_digest(f) for f in files), _networks()))


@lru_cache(maxsize=1)
def _networks() -> str:
    shared = [*sorted((ROOT / "dynamics").glob("*.py")), *(ROOT / "full_models" / n for n in ("linear.py", "point.py"))]
    return hash_of(shared)


@lru_cache(maxsize=256)
def _with_imports(file: Path) -> tuple[Path, ...]:
    """The file and every module of derivations it imports, also indirectly, by name."""
    found, queue = {file}, [file]
    while queue:
        for name in _imported(queue.pop()):
            path = ROOT / "derivations" / f"{name}.py"
            if path.is_file() and path not in found:
                found.add(path)
                queue.append(path)
    return tuple(sorted(found))


@lru_cache(maxsize=256)
def _imported(file: Path) -> tuple[str, ...]:
    return tuple(re.findall(r"^from derivations\.(\w+) import", file.read_text(), re.MULTILINE))


def hash_of(files: Iterable[Path]) -> str:
    return _joint(_digest(file) for file in files)


@lru_cache(maxsize=1024)
def _digest(file: Path) -> str:
    return file.name + hashlib.sha256(file.read_bytes()).hexdigest()


def _joint(parts: Iterable[str]) -> str:
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]
