"""Factors of a product in the order in which tiles read them: panels as wide as a tile, copied by whole vectors.

Rows whose distance in memory is a power of two fall into a few sets of the cache; a panel lies in one piece. A loop over
elements would copy one at a time, as compilers cannot tell that source and target do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from dynamics.run import Array
from full_models.tile import ROW_BYTES, ROWS, empty
from full_models.vectors import INT32, Vectors


def _mover(count_of: Callable[[int], int]) -> Callable[..., Any]:
    """In compiled code: move(A, a, C, c) copies A[a + v] to C[c + v] of the arrays' memories, v < count_of(bits of a number)."""

    def move_code(_: Any, A: Any, a: Any, C: Any, c: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            code = Vectors(context, builder, A.dtype, count_of(A.dtype.bitwidth))
            source, first, target, place = code.opened(signature, arguments)
            code.store(code.load(code.at(source, first)), code.at(target, place))
            return context.get_dummy_value()

        return types.void(A, types.int64, C, types.int64), generate

    return intrinsic(move_code)


def _turn_code(_: Any, A: Any, a: Any, al: Any, C: Any, c: Any, cl: Any) -> Any:
    """C[c + l cl + v] <- A[a + v al + l] of the arrays' memories, l and v < 4: a square of numbers on its side."""
    place = types.int64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = Vectors(context, builder, A.dtype, 4)
        source, a, al, target, c, cl = code.opened(signature, arguments)

        def mix(x: Any, y: Any, *order: int) -> Any:
            return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(INT32, 4), list(order)))

        rows = [code.load(address) for address in code.rows(source, a, al, 4, 1).values()]
        even, odd = ([mix(rows[i], rows[i + 1], *order) for i in (0, 2)] for order in ((0, 4, 2, 6), (1, 5, 3, 7)))
        turned = [mix(*pair, *order) for order in ((0, 1, 4, 5), (2, 3, 6, 7)) for pair in (even, odd)]
        for numbers, address in zip(turned, code.rows(target, c, cl, 4, 1).values(), strict=True):
            code.store(numbers, address)
        return context.get_dummy_value()

    return types.void(A, place, place, C, place, place), generate


move_rows = _mover(lambda bits: ROWS)
move_row = _mover(lambda bits: ROW_BYTES * 8 // bits)
turn: Callable[..., Any] = intrinsic(_turn_code)


@njit(nogil=True)
def gathered(A: Array, i: int, panel: Array) -> None:
    """panel (k, ROWS) <- the transpose of rows i, i + 1, … of A (m, k), which is a transpose itself."""
    m = A.shape[0]
    for l in range(len(panel)):
        move_rows(A, l * m + i, panel, l * ROWS)


@njit(nogil=True)
def packed(B: Array, width: int) -> Array:
    """(n / width, k, width): B (k, n) by panels of its columns."""
    k, n = B.shape
    panels = empty((n // width, k, width), B)
    for l in range(k):
        for p in range(n // width):
            move_row(B, l * n + p * width, panels, (p * k + l) * width)
    return panels


@njit(nogil=True)
def packed_transpose(B: Array, width: int) -> Array:
    """The same of a transpose: its columns lie along memory."""
    k, n = B.shape
    panels = empty((n // width, k, width), B)
    for p in range(n // width):
        for q in range(0, width, 4):
            for l in range(0, k - 3, 4):
                turn(B, (p * width + q) * k + l, k, panels, (p * k + l) * width + q, width)
        for l in range(k - k % 4, k):
            for q in range(width):
                panels[p, l, q] = B[l, p * width + q]
    return panels
