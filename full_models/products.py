"""C <- alpha A B + beta C inside compiled code: what numba's `np.dot` (alpha = 1, beta = 0, BLAS) does not give.

With alpha and beta the sums of a gradient step happen inside its products, without a buffer and a pass over memory for each.

**Large factors** go to scipy's BLAS by its public C interface, `scipy.linalg.cython_blas`. The address changes from process to
process, and a compiled function that held it could not be kept on disk; so it is given a name at import, and what numba
stores asks for that name. (numba has a wrapper of its own, `numba_xxgemm`, but as an internal of `np.dot`, free to change.)

**Small factors** go to tiles (`full_models.tile`), as does a larger B by panels (`full_models.panels`). BLAS packs both factors
and scales C in a pass of its own, which d x d by d x 32 or 64 do not pay back. Measured, AVX2, Zen 3, of 49 GFLOP/s in float64
and 98 in float32: d = 64 by 32: BLAS 35 and 60, tiles 45 and 91; d = 256 by 64: 40 and 82, by panels 46 and 86. With AVX-512
(a Xeon of 2023) BLAS has kernels of its own for small factors: tiles are 0.8 to 1.07 times as fast at d = 64, 1 to 1.5 times
from d = 128 on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic, overload

from dynamics.run import Array
from full_models.panels import gathered, packed, packed_transpose
from full_models.tile import ROW_BYTES, ROWS, empty, tile

SMALL = 2**15  # bytes of B up to which tiles read it as it lies: the size of a first cache
LARGE = 2**17  # bytes of B up to which its panels stay in a second cache beside what else the product reads


def gemm(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C (m, n) <- alpha A (m, k) B (k, n) + beta C, in place; for compiled code. beta = 0 does not read C.

    All float64 or all float32; C contiguous and writeable, A and B contiguous or transposes of such; C overlaps neither. Raises ValueError
    for shapes that do not fit.
    """
    raise NotImplementedError("for compiled code: from Python use numpy")


@overload(gemm)
def _gemm(alpha: Any, A: Any, B: Any, beta: Any, C: Any) -> Any:
    fits = A.dtype == B.dtype == C.dtype and C.layout == "C" and A.layout in "CF" and B.layout in "CF"
    if not (fits and C.dtype in GEMM and C.mutable):
        return None  # numba then says that there is no such product
    real, width = np.dtype(str(C.dtype)).type, ROW_BYTES * 8 // C.dtype.bitwidth
    tiles, panels = (_tiles, _tiles_of_transpose)[A.layout == "F"], (packed, packed_transpose)[B.layout == "F"]
    as_it_lies = B.layout == "C"

    def product(alpha: Any, A: Any, B: Any, beta: Any, C: Any) -> Any:
        (m, n), k = C.shape, A.shape[1]
        if A.shape[0] != m or B.shape != (k, n):
            raise ValueError("shapes of a product do not fit")
        if m % ROWS != 0 or n % width != 0 or B.nbytes > LARGE:
            _blas(real(alpha), A, B, real(beta), C)
        elif as_it_lies and B.nbytes <= SMALL:
            tiles(real(alpha), A, B, 1, n, real(beta), C, width)
        else:
            tiles(real(alpha), A, panels(B, width), k, width, real(beta), C, width)

    return product


@njit(nogil=True)
def _tiles(alpha: float, A: Array, B: Array, bj: int, bl: int, beta: float, C: Array, width: int) -> None:
    """Number (l, j) of B, where a tile begins, is number l bl + j bj of its memory."""
    (m, n), k = C.shape, A.shape[1]
    for i in range(0, m, ROWS):
        for j in range(0, n, width):
            tile(A, i * k, k, 1, B, j * bj, bl, k, alpha, beta, C, i * n + j, n)


@njit(nogil=True)
def _tiles_of_transpose(alpha: float, A: Array, B: Array, bj: int, bl: int, beta: float, C: Array, width: int) -> None:
    """The rows of A lie across memory: those of a tile are gathered."""
    (m, n), k = C.shape, A.shape[1]
    panel = empty((k, ROWS), A)
    for i in range(0, m, ROWS):
        gathered(A, i, panel)
        for j in range(0, n, width):
            tile(panel, 0, 1, ROWS, B, j * bj, bl, k, alpha, beta, C, i * n + j, n)


def _routine(name: str, kind: Any) -> Any:
    """A Fortran product C <- alpha op(A) op(B) + beta C as a function for compiled code: every argument is a pointer."""
    symbol = f"noncollapse_{name}"
    llvmlite.binding.add_symbol(symbol, get_cython_function_address("scipy.linalg.cython_blas", name))
    char, integer, real = (types.CPointer(t) for t in (types.uint8, types.int32, kind))
    matrix = (real, integer)
    return types.ExternalFunction(symbol, types.void(char, char, *[integer] * 3, real, *matrix, *matrix, real, *matrix))


GEMM = {types.float64: _routine("dgemm", types.float64), types.float32: _routine("sgemm", types.float32)}
AS_IT_IS, TRANSPOSED = np.uint8(ord("N")), np.uint8(ord("T"))


def _pointer_code(_: Any, value: Any) -> Any:
    """Address of a number put on the stack (in the frame's entry: a loop does not grow it)."""
    signature = types.CPointer(value)(value)
    return signature, lambda context, builder, signature, arguments: cgutils.alloca_once_value(builder, arguments[0])


_pointer: Callable[..., Any] = intrinsic(_pointer_code)


def _blas(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    raise NotImplementedError("for compiled code")


@overload(_blas)
def _gemm_of_blas(alpha: Any, A: Any, B: Any, beta: Any, C: Any) -> Any:
    routine, A_rows, B_rows = GEMM[C.dtype], A.layout == "C", B.layout == "C"
    left, right = (AS_IT_IS if rows else TRANSPOSED for rows in (A_rows, B_rows))

    def product(alpha: Any, A: Any, B: Any, beta: Any, C: Any) -> Any:
        # Fortran reads rows as columns, so it is asked for Cᵀ = Bᵀ Aᵀ, of whose factors it then holds the transposes.
        (m, n), k = C.shape, A.shape[1]
        M, N, K = _pointer(np.int32(m)), _pointer(np.int32(n)), _pointer(np.int32(k))
        routine(_pointer(right), _pointer(left), N, M, K, _pointer(alpha), B.ctypes, N if B_rows else K,
                A.ctypes, K if A_rows else M, _pointer(beta), C.ctypes, N)  # fmt: skip

    return product
