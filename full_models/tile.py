"""A tile of a product, held in registers while the sum runs: the kernel of every small or blocked product in compiled code.

A tile is ROWS rows and two vectors of C, a narrow one twice the rows and one vector, for columns that two would overrun.
Written as LLVM vectors, since loops over arrays that may overlap vectorise by luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from dynamics.vector_width import has_512_bits

# Of a tile. AVX2: 8 sums, as many as hide the latency of two units that take 4 cycles; 16 registers hold them and the factors.
# AVX-512: 16 sums of 32 registers, so that a number of A that is read serves as many operations though a vector is longer.
# Where registers are narrower LLVM takes several.
ROWS, VECTORS, VECTOR_BYTES = (8, 2, 64) if has_512_bits() else (4, 2, 32)
ROW_BYTES = VECTORS * VECTOR_BYTES  # of a row of a tile: one cache line, or two
NARROW_ROWS = VECTORS * ROWS
INT32, INT64 = ir.IntType(32), ir.IntType(64)


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
    lanes, align = VECTOR_BYTES * 8 // kind.bitwidth, kind.bitwidth // 8
    _, a, ai, al, _, b, bl, k, alpha, beta, _, c, ci = arguments
    A, B, C = (context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (0, 4, 10))
    vector = ir.VectorType(context.get_value_type(kind), lanes)
    undefined, everywhere = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes)

    def at(data: Any, start: Any, *steps: tuple[Any, Any]) -> Any:
        """Address of the number at start + Σ count stride."""
        for count, stride in steps:
            start = builder.add(start, builder.mul(count, stride))
        return builder.gep(data, [start])

    def as_vector(address: Any) -> Any:
        return builder.bitcast(address, vector.as_pointer())

    def spread(number: Any) -> Any:
        return builder.shuffle_vector(builder.insert_element(undefined, number, INT32(0)), undefined, everywhere)

    def add_product(total: Any, x: Any, y: Any) -> Any:
        """total + x y, fused where the machine can."""
        return builder.fadd(total, builder.fmul(x, y, flags=("contract",)), flags=("contract",))

    sums = {(r, v): cgutils.alloca_once(builder, vector) for r in range(rows) for v in range(vectors)}
    for total in sums.values():
        builder.store(ir.Constant(vector, [0.0] * lanes), total)
    with cgutils.for_range(builder, k) as loop:
        right = [builder.load(as_vector(at(B, b, (loop.index, bl), (INT64(v), INT64(lanes)))), align=align)
                 for v in range(vectors)]  # fmt: skip
        left = [spread(builder.load(at(A, a, (INT64(r), ai), (loop.index, al)))) for r in range(rows)]
        for (r, v), total in sums.items():
            builder.store(add_product(builder.load(total), left[r], right[v]), total)
    for total in sums.values():
        builder.store(builder.fmul(spread(alpha), builder.load(total)), total)
    out = {(r, v): as_vector(at(C, c, (INT64(r), ci), (INT64(v), INT64(lanes)))) for r, v in sums}
    with builder.if_then(builder.fcmp_unordered("!=", beta, beta.type(0.0))):
        for rv, total in sums.items():
            kept = builder.load(out[rv], align=align)
            builder.store(add_product(builder.load(total), spread(beta), kept), total)
    for rv, total in sums.items():
        builder.store(builder.load(total), out[rv], align=align)
    return context.get_dummy_value()


tile, narrow_tile = _tile(ROWS, VECTORS), _tile(NARROW_ROWS, 1)
