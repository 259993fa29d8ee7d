"""Products of small matrices for LANES members at once: one vector instruction does the same entry of all of them.

Memory: entry e of lane l of a flat array is X[e LANES + l]. Blocks of 2 or 4 x 4 entries stay in registers, so that a load
serves two to four multiplications. Measured on AVX2: 32 to 45 GFLOP/s from d = 8 on, the rate of a large BLAS product,
where BLAS itself reaches 7 at d = 8. The blocks are written as LLVM vectors: left as loops over the lanes they
vectorise or not by luck (2 to 20 GFLOP/s), because numba cannot promise that its arrays do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dynamics.machine_code import kept_jit
from dynamics.vector_width import has_512_bits

# Doubles of a register; a block has 8 sums, 2 + 4 factors, in the 16 registers of AVX2, or 16 sums, 4 + 4 factors, in 32.
LANES, ROWS, COLUMNS = (8, 4, 4) if has_512_bits() else (4, 2, 4)
VECTOR = ir.VectorType(ir.DoubleType(), LANES)


def block(rows: int, columns: int) -> Callable[..., Any]:
    """The compiled out[r + u ri + v rj] = Σ_m a[p + u ai + m am] b[q + v bj + m bm], u < rows, v < columns, m < M."""

    @intrinsic
    def kernel(_, out, r, ri, rj, a, p, ai, am, b, q, bj, bm, M):
        place, array = types.int64, types.float64[::1]
        signature = types.void(array, place, place, place, array, *[place] * 3, array, *[place] * 3, place)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def pointer(i: int) -> Any:
                return cgutils.create_struct_proxy(signature.args[i])(context, builder, arguments[i]).data

            def at(data: Any, start: Any, *steps: tuple[Any, Any]) -> Any:
                """Address of the vector at start + Σ count stride."""
                for count, stride in steps:
                    start = builder.add(start, builder.mul(count, stride))
                return builder.bitcast(builder.gep(data, [start]), VECTOR.as_pointer())

            out, a, b = (pointer(i) for i in (0, 4, 8))
            r, ri, rj, p, ai, am, q, bj, bm, M = (arguments[i] for i in (1, 2, 3, 5, 6, 7, 9, 10, 11, 12))
            number = [ir.Constant(ir.IntType(64), i) for i in range(max(rows, columns))]
            zero = ir.Constant(VECTOR, [0.0] * LANES)
            sums = {(u, v): cgutils.alloca_once(builder, VECTOR) for u in range(rows) for v in range(columns)}
            for s in sums.values():
                builder.store(zero, s)
            with cgutils.for_range(builder, M) as loop:
                left = [builder.load(at(a, p, (number[u], ai), (loop.index, am)), align=8) for u in range(rows)]
                right = [builder.load(at(b, q, (number[v], bj), (loop.index, bm)), align=8) for v in range(columns)]
                for (u, v), s in sums.items():
                    term = builder.fmul(left[u], right[v], flags=("contract",))  # fused where the machine can
                    builder.store(builder.fadd(builder.load(s), term, flags=("contract",)), s)
            for (u, v), s in sums.items():
                builder.store(builder.load(s), at(out, r, (number[u], ri), (number[v], rj)), align=8)
            return context.get_dummy_value()

        return signature, generate

    return kernel


_whole, _wide, _tall, _single = block(ROWS, COLUMNS), block(1, COLUMNS), block(ROWS, 1), block(1, 1)


@kept_jit(nogil=True, error_model="numpy")
def product(out, o, a, p, ai, am, b, q, bm, bj, I, J, M):
    """out <- a b for every lane: out (I, J) row by row from entry o on, a[i, m] at entry p + i ai + m am, b[m, j] at
    q + m bm + j bj; so a transpose is a pair of strides exchanged. Flat arrays of LANES doubles an entry."""
    ai, am, bm, bj, ri, rj = ai * LANES, am * LANES, bm * LANES, bj * LANES, J * LANES, LANES
    rows, columns = I - I % ROWS, J - J % COLUMNS
    for i in range(0, rows, ROWS):
        r, x = o * LANES + i * ri, p * LANES + i * ai
        for j in range(0, columns, COLUMNS):
            _whole(out, r + j * rj, ri, rj, a, x, ai, am, b, q * LANES + j * bj, bj, bm, M)
        for j in range(columns, J):
            _tall(out, r + j * rj, ri, rj, a, x, ai, am, b, q * LANES + j * bj, bj, bm, M)
    for i in range(rows, I):
        r, x = o * LANES + i * ri, p * LANES + i * ai
        for j in range(0, columns, COLUMNS):
            _wide(out, r + j * rj, ri, rj, a, x, ai, am, b, q * LANES + j * bj, bj, bm, M)
        for j in range(columns, J):
            _single(out, r + j * rj, ri, rj, a, x, ai, am, b, q * LANES + j * bj, bj, bm, M)
