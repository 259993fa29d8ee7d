"""A tile of a product, held in registers while the sum runs: the kernel of every small or blocked product in compiled code.

A tile is ROWS rows and two vectors of C, a narrow one twice the rows and one vector, for columns that two would overrun.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dynamics.vector_width import has_512_bits
from full_models.vectors import VECTOR_BYTES, Vectors

# Of a tile. AVX2: 8 sums, as many as hide the latency of two units that take 4 cycles; 16 registers hold them and the factors.
# AVX-512: 16 sums of 32 registers, so that a number of A that is read serves as many operations though a vector is longer.
ROWS, VECTORS = (8, 2) if has_512_bits() else (4, 2)
ROW_BYTES = VECTORS * VECTOR_BYTES  # of a row of a tile: one cache line, or two
NARROW_ROWS = VECTORS * ROWS


def aligned(allocate: Callable[..., NDArray[Any]], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """What numpy's `empty` or `zeros` allocates, but begun at a whole vector, as theirs are by luck: a vector that lies across two
    lines of the cache is moved twice, which makes products up to a tenth slower."""
    memory = allocate(math.prod(shape) * np.dtype(dtype).itemsize + VECTOR_BYTES, np.uint8)
    first = -memory.ctypes.data % VECTOR_BYTES
    return memory[first : len(memory) - VECTOR_BYTES + first].view(dtype).reshape(shape)


@njit(nogil=True)
def empty(shape: tuple[int, ...], like: Any) -> Any:
    """`aligned(np.empty, shape, like.dtype)` in compiled code."""
    size = 1
    for n in shape:
        size *= n
    memory = np.empty(size + VECTOR_BYTES // like.itemsize, like.dtype)
    first = -memory.ctypes.data % VECTOR_BYTES // like.itemsize
    return memory[first : first + size].reshape(shape)


def _tile(rows: int, vectors: int) -> Callable[..., Any]:
    """C[c + r ci + v] <- alpha Σ_l A[a + r ai + l al] B[b + l bl + v] + beta C[c + r ci + v]: r < rows, v over vectors, l < k."""

    def typed(_: Any, A: Any, a: Any, ai: Any, al: Any, B: Any, b: Any, bl: Any, k: Any, alpha: Any, beta: Any, C: Any,
              c: Any, ci: Any) -> Any:  # fmt: skip
        place, kind = types.int64, C.dtype
        signature = types.void(A, place, place, place, B, place, place, place, kind, kind, C, place, place)
        return signature, partial(_tile_code, rows, vectors, kind)

    return intrinsic(typed)


def _tile_code(rows: int, vectors: int, kind: Any, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    code = Vectors(context, builder, kind)
    A, a, ai, al, B, b, bl, k, alpha, beta, C, c, ci = code.opened(signature, arguments)
    sums = code.sums(rows, vectors, A, a, ai, al, B, b, bl, k)
    for total in sums.values():
        builder.store(builder.fmul(code.spread(alpha), builder.load(total)), total)
    out = code.rows(C, c, ci, rows, vectors)
    with builder.if_then(builder.fcmp_unordered("!=", beta, beta.type(0.0))):
        for rv, total in sums.items():
            builder.store(code.add_product(builder.load(total), code.spread(beta), code.load(out[rv])), total)
    for rv, total in sums.items():
        code.store(builder.load(total), out[rv])
    return context.get_dummy_value()


tile, narrow_tile = _tile(ROWS, VECTORS), _tile(NARROW_ROWS, 1)
