"""Hashes of source files: by them a record knows whether the code that made it has changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMPORT = re.compile(r"^from (derivations|dynamics|full_models)(?:\.([\w.]+))? import (\([^)]*\)|.*)$", re.MULTILINE)
ENGINE = ("ladder.py", "controls.py", "rungs.py", "search.py", "judge.py", "budget.py")


@lru_cache(maxsize=256)
def sources_of(module: str) -> str:
    """sha256 (16 hex) of the code that a claim of derivations/<module>.py depends on: that module, those of the claims that
    correct it and what they import in derivations; dynamics; the networks of the cheaper rungs; the engine."""
    own = ROOT / "derivations" / f"{module}.py"
    files = [*reached(own, *_corrections(own)), *(ROOT / "noncollapse" / name for name in ENGINE)]
    return _joint((*(_digest(f) for f in files if f.parent.name != "dynamics"), _networks()))


@lru_cache(maxsize=1)
def _networks() -> str:
    shared = [
        f
        for f in reached(*(ROOT / "full_models" / n for n in ("linear.py", "point.py")))
        if f.parent.name != "dynamics"
    ]
    return hash_of([*sorted((ROOT / "dynamics").glob("*.py")), *shared])


@lru_cache(maxsize=256)
def reached(*files: Path) -> tuple[Path, ...]:
    """The files and every module of derivations, dynamics and full_models that they import, also indirectly, by name."""
    found, queue = set(files), [*files]
    while queue:
        for path in _imported(queue.pop()):
            if path not in found:
                found.add(path)
                queue.append(path)
    return tuple(sorted(found))


@lru_cache(maxsize=256)
def _imported(file: Path) -> tuple[Path, ...]:
    places: list[Path] = []
    for room, module, names in IMPORT.findall(file.read_text(encoding="utf-8")):
        base = ROOT.joinpath(room, *module.split("."))
        places += [
            base.with_suffix(".py"),
            base / "__init__.py",
            *(base / f"{n}.py" for n in re.findall(r"\w+", names)),
        ]
    return tuple(path for path in places if path.is_file())


@lru_cache(maxsize=256)
def _corrections(file: Path) -> tuple[Path, ...]:
    """Modules that hold a claim which corrects one of this file: its residual is run as a control."""
    ids = re.findall(r'corrected_by="([\w-]+)"', file.read_text(encoding="utf-8"))
    holds = re.compile(rf'(?:Claim\(\s*|\bid=)"(?:{"|".join(ids)})"')
    return tuple(f for f in sorted(file.parent.glob("*.py")) if ids and holds.search(f.read_text(encoding="utf-8")))


def hash_of(files: Iterable[Path]) -> str:
    """sha256 (16 hex) of the files' names and contents, in their order."""
    return _joint(_digest(file) for file in files)


@lru_cache(maxsize=1024)
def _digest(file: Path) -> str:
    return file.name + hashlib.sha256(file.read_bytes()).hexdigest()


def _joint(parts: Iterable[str]) -> str:
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]
