"""Tiles of exponentials of scores: products whose numbers meet the exponential, and what is made of it, in registers.

Writing scores and reading them again in a pass of their own is felt where sums are short, as in softmaxes of narrow
embeddings. And such a pass, as a loop, becomes one of vectors only where LLVM finds that no two of its arrays overlap, which a
change elsewhere may undo, so that exponentials are taken one by one.

Every tile begins with S_rv = Σ_l A[a + r ai + l al] B[b + l bl + v], r, v and l < k as in `full_models.tile`; where k = 0 it
reads them, from S[s + r si + v].
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dynamics.exponential import exponential_code
from full_models.tile import ROWS, VECTORS
from full_models.vectors import INT64, Vectors

Scores = dict[tuple[int, int], Any]  # by row and vector


def _tile(finish: Callable[..., None]) -> Callable[..., Any]:
    """In compiled code: tile(A, a, ai, al, B, b, bl, k, S, s, si, *more) with finish(code, scores, *more)."""

    def typed(_: Any, *given: Any) -> Any:
        kept = (types.Array, types.Float)
        return types.void(*(t if isinstance(t, kept) else types.int64 for t in given)), generate

    # numba gives a function with `*` all its arguments as one tuple, so it is told their names
    own = ("context", "A", "a", "ai", "al", "B", "b", "bl", "k", "S", "s", "si")
    names = (*own, *list(signature(finish).parameters)[2:])
    vars(typed)["__signature__"] = Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in names])

    def generate(context: Any, builder: Any, types_of: Any, arguments: Any) -> Any:
        code = Vectors(context, builder, types_of.args[0].dtype)
        A, a, ai, al, B, b, bl, k, S, s, si, *more = code.opened(types_of, arguments)
        sums = code.sums(ROWS, VECTORS, A, a, ai, al, B, b, bl, k)
        with builder.if_then(builder.icmp_signed("==", k, INT64(0))):
            for rv, held in code.rows(S, s, si, ROWS, VECTORS).items():
                builder.store(code.load(held), sums[rv])
        finish(code, {rv: builder.load(total) for rv, total in sums.items()}, *more)
        return context.get_dummy_value()

    return intrinsic(typed)


def _exponentials(code: Vectors, scores: Scores, E: Any, e: Any, ei: Any, Z: Any, z: Any) -> None:
    """E[e + r ei + v] <- exp S_rv, and Z[z + v] += Σ_r exp S_rv."""
    powers = {rv: exponential_code(code.builder, code.kind, score) for rv, score in scores.items()}
    _store_and_sum(code, powers, E, e, ei, Z, z)


def _below_top(code: Vectors, scores: Scores, top: Any, least: Any, E: Any, e: Any, ei: Any, Z: Any, z: Any) -> None:
    """E[e + r ei + v] <- exp(S_rv - top[z + v]), 0 where that difference is below `least`; Z[z + v] += Σ_r of it."""
    builder, powers = code.builder, {}
    nothing = ir.Constant(code.type, [0.0] * code.lanes)
    tops = [code.load(address) for address in code.rows(top, z, INT64(0), 1, VECTORS).values()]
    for (r, v), score in scores.items():
        x = builder.fsub(score, tops[v])
        below = builder.fcmp_ordered("<", x, code.spread(least))
        powers[r, v] = builder.select(below, nothing, exponential_code(builder, code.kind, x))
    _store_and_sum(code, powers, E, e, ei, Z, z)


def _store_and_sum(code: Vectors, powers: Scores, E: Any, e: Any, ei: Any, Z: Any, z: Any) -> None:
    for rv, address in code.rows(E, e, ei, ROWS, VECTORS).items():
        code.store(powers[rv], address)
    _add_rows(code, powers, Z, z)


def _add_rows(code: Vectors, powers: Scores, Z: Any, z: Any) -> None:
    for (_, v), address in code.rows(Z, z, INT64(0), 1, VECTORS).items():
        total = code.load(address)
        for r in range(ROWS):
            total = code.builder.fadd(total, powers[r, v])
        code.store(total, address)


def _sums(code: Vectors, scores: Scores, Z: Any, z: Any, T: Any, t: Any) -> None:
    """Z[z + v] += Σ_r exp S_rv, and T[t + r lanes + u] += exp S_rv of each vector's number u."""
    builder = code.builder
    powers = {rv: exponential_code(builder, code.kind, score) for rv, score in scores.items()}
    _add_rows(code, powers, Z, z)
    for (r, _), address in code.rows(T, t, INT64(code.lanes), ROWS, 1).items():
        total = code.load(address)
        for v in range(VECTORS):
            total = builder.fadd(total, powers[r, v])
        code.store(total, address)


def _weighed(code: Vectors, scores: Scores, of_row: Any, z: Any, of_key: Any, j: Any, E: Any, e: Any, ei: Any) -> None:
    """E[e + r ei + v] <- exp S_rv (of_row[z + v] + of_key[j + r])."""
    builder = code.builder
    ours = [code.load(address) for address in code.rows(of_row, z, INT64(0), 1, VECTORS).values()]
    theirs = [code.spread(builder.load(code.at(of_key, j, (INT64(r), INT64(1))))) for r in range(ROWS)]
    for (r, v), address in code.rows(E, e, ei, ROWS, VECTORS).items():
        power = exponential_code(builder, code.kind, scores[r, v])
        code.store(builder.fmul(power, builder.fadd(ours[v], theirs[r])), address)


exponential_tile, tile_below_top = _tile(_exponentials), _tile(_below_top)
summed_tile, weighed_tile = _tile(_sums), _tile(_weighed)
