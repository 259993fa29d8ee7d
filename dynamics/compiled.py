"""From a field, written once as a Python function of scalars, to machine code: built on first use, then kept on disk.

The text of its kernels (`dynamics.kernel_source`) is executed beside the field's own function and compiled by numba.
It is used again while the field, its code and all that it reads (`dynamics.fingerprint`), stays what it is. The file it
is kept under is named after that, so that a changed field never meets old machine code. Where nothing can be written, it is
compiled in each run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit
from numba.core.errors import NumbaError

from dynamics import kernel_source, lane_driver, lanes, taylor_source
from dynamics.address import address
from dynamics.analytic import analytic
from dynamics.fingerprint import NoFingerprint, cached, fingerprint
from dynamics.helpers import Function, in_python, with_helpers
from dynamics.lane_memory import FLAGS
from dynamics.machine_code import kept_jit
from dynamics.setting import SettingError
from dynamics.trace import Trace, generic, traced

AGREE = 1e-9  # of compiled code with Python, relative to the largest number: rounding, amplified by differences
SIGNATURES = {"advance": lanes.ADVANCE, "begin": lanes.BEGIN, "between": lanes.BETWEEN, "slopes": lanes.BEGIN}
OPTIONS: Any = {"error_model": "numpy", "fastmath": {*FLAGS}, "nogil": True}


class FieldError(SettingError):
    """A field, its events or its Jacobian cannot be used as they are; the message ends with the remedy."""


@cache
def driver() -> Any:
    """The compiled `lane_driver.drive`, one for all fields."""
    return _jit(lane_driver.drive, lane_driver.DRIVE, True, **lanes.OPTIONS)


@cached
def kernels(
    kind: str, field: Function, n: int, m: int, events: Function | None, e: int, how: Function | str | Trace
) -> tuple[Any, ...]:
    """advance, begin and, of Taylor's method, between (`dynamics.lanes`), of one method for a field of n states and m parameters.

    kind, how: as of `kernel_source.text`, or "stiff" and the field's own Jacobian. Raises FieldError where numba cannot compile
    the field.
    """
    jacobian = how if callable(how) else None
    text = kernel_source.text(kind, n, m, e, "analytic" if callable(how) else how)
    # numba imports the module of that name when it reads machine code back, so it must be one that exists
    given = {name: f for name, f in (("field", field), ("events", events), ("jacobian", jacobian)) if callable(f)}
    path = _kept(text, list(given.values()))
    try:
        space: dict[str, Any] = {"__name__": __name__} | {name: with_helpers(f, _inlined) for name, f in given.items()}
        exec(compile(text, str(path or "<kernels>"), "exec"), space)
        parts = {name: space[name] for name in SIGNATURES if name in space}
        if path:
            # machine code is found by name: of two fields kept by two runs, one would run for both
            for part in parts.values():
                part.__qualname__ = f"{part.__name__}_{path.stem}"
        out = {name: _jit(part, SIGNATURES[name], path is not None, **OPTIONS) for name, part in parts.items()}
    except NumbaError as error:
        reasons = (x for x in str(error).splitlines() if x.strip() and not x.startswith("Failed in"))
        reason = next(reasons, type(error).__name__)  # numba's last lines only say where it was
        raise FieldError(
            f"numba cannot compile {getattr(field, '__name__', field)!r} ({reason.strip()}): write it as arithmetic on "
            "scalars, with math or numpy functions of single numbers (if and else for np.where, min and max for np.clip), "
            "returning a tuple"
        ) from error
    row, memory = kernel_source.rows(n, m, e), kernel_source.memory_rows(kind, n, m, e, how)
    held = (("field", "begin", row["k"]), ("events", "begin", row["g"]), ("jacobian", "slopes", row["own"]))
    for name, fill, first in held:
        if name in given:
            _compare(name, given[name], out[fill], n, m, row, first, memory)
    return tuple(out[name] for name in ("advance", "begin", "between") if name in out)


def _compare(
    name: str, function: Function, fill: Any, n: int, m: int, row: dict[str, int], first: int, memory: int
) -> None:
    """Hold what `fill` puts into the rows from `first` against the function in Python, at some numbers. Raises FieldError.

    Whole numbers of compiled code have 64 bits, and 3 ** k of them is 0 for k = -2: wrong in silence.
    """
    # a Jacobian's rows may lie beyond the method's memory
    numbers, S = generic(n + m), np.zeros((memory + n * n) * lanes.LANES)
    S[row["y"] * lanes.LANES :: lanes.LANES][:n] = numbers[:n]
    S[row["q"] * lanes.LANES :: lanes.LANES][:m] = numbers[n:]
    try:
        fill(S, 0)
        with np.errstate(all="ignore"):
            right = np.array(in_python(function)(*numbers), dtype=float).ravel()
    except Exception:  # where either has no numbers there is nothing to compare
        return
    found = S[first * lanes.LANES :: lanes.LANES][: len(right)]
    told, one = np.isfinite(found) & np.isfinite(right), np.isfinite(found) != np.isfinite(right)
    with np.errstate(invalid="ignore"):
        off = np.where(told, np.abs(found - right), np.where(one, np.inf, 0.0))
    if (off > AGREE * np.abs(right[told]).max(initial=0.0)).any():
        j, where = int(off.argmax()), ", ".join(f"{x:.3g}" for x in numbers)
        raise FieldError(
            f"{name} gives {found[j]:.6g} when compiled and {right[j]:.6g} in Python, number {j} at ({where}): whole numbers have "
            "64 bits and no negative powers there; write 3.0 for 3"
        )


@cached
def explicit(field: Function, n: int, m: int, dense: bool) -> tuple[str, Trace | str]:
    """kind and how of the explicit method that takes less work. dense: are states within steps asked for?"""
    trace = traced(in_python(field), n, m)
    return ("taylor", trace) if trace and taylor_source.worthwhile(trace, n, dense) else ("verner", "")


@cached
def jacobian_kind(field: Function, n: int, m: int) -> str:
    """How the stiff method comes by ∂f/∂y: "complex" steps where the field lets them pass, "differences" where not."""
    return "complex" if analytic(in_python(field), n + m) else "differences"


@cached
def addresses(
    kind: str, field: Function, n: int, m: int, events: Function | None, e: int, how: Function | str | Trace | bool
) -> tuple[tuple[int, int, int], int]:
    """Of advance, begin and between (0: there is none) of the `kernels` with these arguments, and the rows of memory they need.

    kind, how: as there, or "explicit" and whether states within steps are asked for.
    """
    if isinstance(how, bool):
        kind, how = explicit(field, n, m, how)
    advance, begin, *between = kernels(kind, field, n, m, events, e, how)
    dense = address(between[0], lanes.BETWEEN) if between else 0
    found = address(advance, lanes.ADVANCE), address(begin, lanes.BEGIN), dense
    return found, kernel_source.memory_rows(kind, n, m, e, how)


def _inlined(function: Function) -> Any:
    return njit(**OPTIONS, forceinline=True)(function)


def _jit(function: Function, signature: Any, keep: bool, **options: Any) -> Any:
    """Compile for one signature and no other; kept on disk if asked for and possible."""
    try:
        out = (kept_jit if keep else njit)(signature, **options)(function)
    except NumbaError:
        raise
    except Exception:  # no folder that numba may write to, or a damaged file: costs a compilation, never the run
        if not keep:
            raise
        out = njit(signature, **options)(function)
    out.disable_compile()
    return out


def _kept(text: str, functions: list[Function]) -> Path | None:
    """The file that holds the text, written if it is new; None where it cannot be kept."""
    try:
        prints = [text, numba.__version__, str(sorted(OPTIONS)), *(fingerprint(f) for f in functions)]
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "noncollapse" / "kernels"
        path = folder / f"{hashlib.sha256(chr(10).join(prints).encode()).hexdigest()[:24]}.py"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)  # whole or not at all, also when several processes start together
        return path
    except (NoFingerprint, OSError, RuntimeError):  # RuntimeError: no home folder
        return None
