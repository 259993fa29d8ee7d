"""A tile of exponentials of scores: a product whose numbers meet the exponential in registers, and not in a pass of their own.

For short sums, which softmaxes of narrow embeddings are, writing the scores and reading them again costs as much as a third
of what makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from full_models.losses.exponential import exponential_code
from full_models.tile import ROWS, VECTORS
from full_models.vectors import INT64, Vectors


def _typed(_: Any, A: Any, a: Any, ai: Any, al: Any, B: Any, b: Any, bl: Any, k: Any, E: Any, e: Any, ei: Any, Z: Any,
           z: Any) -> Any:  # fmt: skip
    """E[e + r ei + v] <- exp Σ_l A[a + r ai + l al] B[b + l bl + v], and Z[z + v] += Σ_r of it: r, v and l of `tile`."""
    place = types.int64
    return types.void(A, place, place, place, B, place, place, place, E, place, place, Z, place), _code


def _code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    code = Vectors(context, builder, signature.args[0].dtype)
    A, a, ai, al, B, b, bl, k, E, e, ei, Z, z = code.opened(signature, arguments)
    sums = code.sums(ROWS, VECTORS, A, a, ai, al, B, b, bl, k)
    out = code.rows(E, e, ei, ROWS, VECTORS)
    for (_, v), total in code.rows(Z, z, INT64(0), 1, VECTORS).items():
        of_keys = code.load(total)
        for r in range(ROWS):
            power = exponential_code(builder, code.kind, builder.load(sums[r, v]))
            code.store(power, out[r, v])
            of_keys = builder.fadd(of_keys, power)
        code.store(of_keys, total)
    return context.get_dummy_value()


exponential_tile: Callable[..., Any] = intrinsic(_typed)
