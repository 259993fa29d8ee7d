"""gemm of compiled code against numpy: every transpose, sizes for the tiles and for BLAS, both types, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from full_models.products import LARGE, SMALL, gemm
from full_models.tile import ROW_BYTES, ROWS


@numba.njit
def product(alpha: Any, A: Any, B: Any, beta: Any, C: Any) -> None:
    gemm(alpha, A, B, beta, C)


def matrix(rng: np.random.Generator, rows: int, columns: int, transposed: bool, dtype: str) -> np.ndarray:
    M = rng.standard_normal((columns, rows) if transposed else (rows, columns)).astype(dtype)
    return M.T if transposed else M


def by_tiles(m: int, k: int, n: int, dtype: str) -> bool:
    size = np.dtype(dtype).itemsize
    return m % ROWS == 0 and n % (ROW_BYTES // size) == 0 and k * n * size <= LARGE


WIDTH = ROW_BYTES // 4  # float32 numbers in a row of a tile; half as many float64
SIZES = {  # (m, k, n), and whether tiles take them
    "one number": ((1, 1, 1), False),
    "a row and a column": ((1, 7, 5), False),
    "an outer product": ((6, 1, 9), False),
    "odd": ((5, 3, 7), False),
    "one tile, k = 1": ((ROWS, 1, WIDTH), True),
    "tiles": ((3 * ROWS, 5, 3 * WIDTH), True),
    "rows left over": ((3 * ROWS + 2, 5, 3 * WIDTH), False),
    "columns left over": ((3 * ROWS, 5, 3 * WIDTH + 2), False),
    "half a tile's columns left over": ((3 * ROWS, 5, 3 * WIDTH + WIDTH // 4), False),  # in float64
    "the largest B that is read as it lies": ((2 * ROWS, SMALL // (16 * WIDTH), 2 * WIDTH), True),  # in float64
    # in float32 too; 3 rows beside the squares that are turned
    "B read by panels": ((2 * ROWS, SMALL // (8 * WIDTH) + 3, 2 * WIDTH), True),
    "the largest B for tiles": ((2 * ROWS, LARGE // (16 * WIDTH), 2 * WIDTH), True),
    "B too large for tiles": ((2 * ROWS, LARGE // (8 * WIDTH) + 8, 2 * WIDTH), False),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", SIZES)
def test_gemm_is_numpys_product(size: str, dtype: str) -> None:
    (m, k, n), tiles = SIZES[size]
    assert by_tiles(m, k, n, dtype) == tiles
    rng = np.random.default_rng(0)
    for left, right in ((a, b) for a in (False, True) for b in (False, True)):
        A, B, C = matrix(rng, m, k, left, dtype), matrix(rng, k, n, right, dtype), matrix(rng, m, n, False, dtype)
        exact = A.astype(float) @ B.astype(float)
        scale = np.abs(A).astype(float) @ np.abs(B).astype(float) + np.abs(C)
        for alpha, beta in ((1.0, 0.0), (-0.5, 1.0), (2.0, -0.25)):
            out = np.full_like(C, np.nan) if beta == 0 else C.copy()  # beta = 0 must not read what was there
            product(alpha, A, B, beta, out)
            off = np.abs(out - (alpha * exact + (beta * C if beta else 0)))
            eps = np.finfo(dtype).eps
            assert (off <= 2 * (k + 3) * eps * scale).all()  # k + 3 roundings, |alpha| <= 2; n eps is their worst sum


def test_a_wrong_factor_is_found() -> None:
    """The bound above is tight enough to see one wrong entry of B."""
    rng = np.random.default_rng(1)
    A, B, C = rng.standard_normal((12, 5)), rng.standard_normal((5, 48)), np.zeros((12, 48))
    product(1.0, A, B, 0.0, C)
    B[3, 7] *= 1 + 1e-10
    assert np.abs(C - A @ B).max() > 2 * (5 + 3) * 2.0**-52 * (np.abs(A) @ np.abs(B)).max()


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3), (2, 3)), ((2, 3), (3, 4), (2, 5)), ((2, 3), (3, 4), (3, 4))])
def test_shapes_that_do_not_fit_are_refused(shapes: tuple[tuple[int, int], ...]) -> None:
    A, B, C = map(np.ones, shapes)
    with pytest.raises(ValueError, match="shapes of a product do not fit"):
        product(1.0, A, B, 0.0, C)


def test_types_and_layouts_it_does_not_have_are_refused() -> None:
    A = np.ones((4, 16))
    for bad in (A.astype("float32"), np.ones((4, 32))[:, ::2]):
        with pytest.raises(TypingError, match="gemm"):
            product(1.0, A[:, :4].copy(), bad, 0.0, A)
    with pytest.raises(TypingError, match="gemm"):
        product(1.0, A, A.T, 0.0, np.ones((4, 4)).T)  # a transposed result
    for kind in ("int64", "complex128"):
        with pytest.raises(TypingError, match="gemm"):
            product(1.0, *[np.ones((4, 4), kind)] * 2, 0.0, np.ones((4, 4), kind))
    fixed = np.ones((4, 4))
    fixed.flags.writeable = False
    with pytest.raises(TypingError, match="gemm"):
        product(1.0, A, A.T, 0.0, fixed)
    assert (fixed == 1).all()  # refused before it was written to
    with pytest.raises(NotImplementedError, match="from Python use numpy"):
        gemm(1.0, A, A.T, 0.0, np.ones((4, 4)))


KEPT = """
import numba, numpy as np
from full_models.products import gemm

@numba.njit(cache=True)
def product(A, B, C):
    gemm(1.0, A, B, 0.0, C)

if __name__ == "__main__":
    A, C = np.arange(9.0).reshape(3, 3), np.empty((3, 3))
    product(A, A, C)
    assert (C == A @ A).all()
    print(sum(product.stats.cache_hits.values()))
"""


def test_what_calls_blas_is_kept_on_disk_and_right_in_another_process(tmp_path) -> None:
    """The address of the routine is another there; only its name was kept."""
    script = tmp_path / "kept.py"
    script.write_text(KEPT)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path)}
    hits = [subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, check=True).stdout
            for _ in range(2)]  # fmt: skip
    assert [h.strip() for h in hits] == ["0", "1"]
