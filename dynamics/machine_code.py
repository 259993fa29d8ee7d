"""Compiled functions that are kept on disk, and taken from there only while all they were made of is what it was.

numba's own cache looks at the file of the function that is kept. What that function calls is part of its machine code too,
so after a change of a callee in another file the old code would go on running, and a mistake made there pass every test.
Here the stamp of a function is a digest of its file and of every file of the house that this one imports, directly or not.
Each stamp has a folder of its own: numba writes its index before the machine code, so that a process that starts between
the two would read the new stamp and then the old code.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

from numba import config, njit
from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("dynamics", "full_models")  # whose functions are compiled
_locating = RLock()  # numba's setting of where to look is the process's


def digest(text: str, read: Callable[[str], str | None]) -> bytes:
    """SHA-256 of a source and of all modules of ROOMS that it imports, directly or not.

    read: from a dotted name to the module's source, None where there is no such module.
    """
    found: dict[str, str] = {}
    waiting = [*_imports(text)]
    while waiting:
        name = waiting.pop()
        if name not in found and (source := read(name)) is not None:
            found[name] = source
            waiting += _imports(source)
    parts = [text, *(part for name in sorted(found) for part in (name, found[name]))]
    return hashlib.sha256("\0".join(parts).encode()).digest()


def kept_jit(*signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba's njit, kept on disk under the digest of its sources. As a decorator with njit's arguments but `cache`."""

    def compiled(function: Callable[..., Any]) -> Any:
        with _locating:
            before = config.CACHE_LOCATOR_CLASSES  # pyright: ignore[reportAttributeAccessIssue]  made from the environment
            config.CACHE_LOCATOR_CLASSES = LOCATORS  # pyright: ignore[reportAttributeAccessIssue]  looked at once, by the next line
            try:
                return njit(*signature, cache=True, **options)(function)
            finally:
                config.CACHE_LOCATOR_CLASSES = before  # pyright: ignore[reportAttributeAccessIssue]

    return compiled


@cache
def _imports(text: str) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in ROOMS]


@cache
def _source(name: str) -> str | None:
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return path.read_text(encoding="utf-8") if path.is_file() else None


@cache
def _stamp(file: str) -> bytes:
    return digest(Path(file).read_text(encoding="utf-8"), _source)


class _Stamped:
    """Where numba looks for kept code, with the stamp of this module."""

    _py_file: str
    _cache_path: str

    def get_source_stamp(self) -> bytes:
        return _stamp(self._py_file)

    def get_cache_path(self) -> str:
        return str(Path(self._cache_path) / self.get_source_stamp().hex()[:16])


class Provided(_Stamped, UserProvidedCacheLocator):
    """NUMBA_CACHE_DIR, where the user gives it."""


class InTree(_Stamped, InTreeCacheLocator):
    """__pycache__ beside the file."""


class UserWide(_Stamped, UserWideCacheLocator):
    """The user's cache folder, where that one cannot be written."""


LOCATORS = ",".join(f"{__name__}.{c.__name__}" for c in (Provided, InTree, UserWide))
