"""Sources of compiled blocks read as Python: tiles from their formulas, and small blocks."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from full_models.losses import chunk, softmax_block
from full_models.tile import NARROW_ROWS, ROW_BYTES, ROWS
from full_models.vectors import VECTOR_BYTES

SOURCES = tuple(Path(module.__file__).read_text() for module in (chunk, softmax_block))


def tile_by_numpy(
    rows: int,
    row_bytes: int,
    A: Any,
    a: int,
    ai: int,
    al: int,
    B: Any,
    b: int,
    bl: int,
    k: int,
    alpha: Any,
    beta: Any,
    C: Any,
    c: int,
    ci: int,
) -> None:
    """What `full_models.tile.tile` does, from its formula."""
    width, C = row_bytes // C.itemsize, C.reshape(-1)
    r, v, l = np.arange(rows)[:, None], np.arange(width), np.arange(k)
    product = A.reshape(-1)[a + r * ai + l * al] @ B.reshape(-1)[b + l[:, None] * bl + v]
    C[c + r * ci + v] = alpha * product + (beta * C[c + r * ci + v] if beta else 0)


def exponential_tiles_by_numpy() -> dict[str, Callable[..., None]]:
    """What the tiles of `full_models.losses.exponential_tile` do, from their formulas."""
    r = np.arange(ROWS)[:, None]

    def made(
        A: Any, a: int, ai: int, al: int, B: Any, b: int, bl: int, k: int, S: Any, s: int, si: int
    ) -> tuple[Any, Any]:  # fmt: skip
        """Scores and the numbers v of their columns."""
        v = np.arange(ROW_BYTES // S.itemsize)
        if k == 0:
            return S.reshape(-1)[s + r * si + v], v
        out, one = np.zeros((ROWS, len(v)), S.dtype), S.dtype.type(1)
        tile_by_numpy(ROWS, ROW_BYTES, A, a, ai, al, B, b, bl, k, one, 0 * one, out, 0, len(v))
        return out, v

    def exponential_tile(*given: Any) -> None:
        (S, v), (E, e, ei, Z, z) = made(*given[:11]), given[11:]
        E.reshape(-1)[e + r * ei + v] = np.exp(S)
        Z[z + v] += np.exp(S).sum(0)

    def tile_below_top(*given: Any) -> None:
        (S, v), (top, least, E, e, ei, Z, z) = made(*given[:11]), given[11:]
        x = S - top[z + v]
        powers = np.where(x < least, 0, np.exp(x))
        E.reshape(-1)[e + r * ei + v] = powers
        Z[z + v] += powers.sum(0)

    def summed_tile(*given: Any) -> None:
        (S, v), (Z, z, T, t) = made(*given[:11]), given[11:]
        Z[z + v] += np.exp(S).sum(0)
        lanes = VECTOR_BYTES // S.itemsize
        T.reshape(-1)[t + r * lanes + np.arange(lanes)] += np.exp(S).reshape(ROWS, -1, lanes).sum(1)

    def weighed_tile(*given: Any) -> None:
        (S, v), (of_row, z, of_key, j, E, e, ei) = made(*given[:11]), given[11:]
        E.reshape(-1)[e + r * ei + v] = np.exp(S) * (of_row[z + v] + of_key[j + r])

    tiles = (exponential_tile, tile_below_top, summed_tile, weighed_tile)
    return {tile.__name__: tile for tile in tiles}


def uncompiled(text: str, **names: Any) -> dict[str, Any]:
    """What a source defines, as Python, with these names for what it imports."""
    module = types.ModuleType("mutant")
    exec(compile(re.sub(r"@(kept_jit|njit)\(.*\)\n", "", text), "mutant", "exec"), module.__dict__)
    module.__dict__.update(names, widest=lambda: None)
    return module.__dict__


def parts_of(text: str) -> dict[str, Any]:
    """The parts of `full_models.losses.chunk` with small blocks, so that few numbers have several of each kind."""
    for size, small in (
        ("BLOCK = (832 // ROW_BYTES | 1)", "BLOCK = 3"), ("CHUNK = 128", "CHUNK = 32"), ("DEPTH = 256", "DEPTH = 4")
    ):  # fmt: skip
        assert text.count(size) == 1
        text = text.replace(size, small)
    whole, narrow = partial(tile_by_numpy, ROWS, ROW_BYTES), partial(tile_by_numpy, NARROW_ROWS, VECTOR_BYTES)
    return uncompiled(text, tile=whole, narrow_tile=narrow)
