"""The lanes' memory as compiled kernels read it: by address, and sums and choices as one operation each.

To numba's compiler every element of an array and every product is a piece of work of its own, and a kernel's text has
hundreds. Said in these words it compiles in half the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

FLAGS = ("contract", "nsz")  # of all arithmetic in kernels: a product and a sum may become one operation


def _memory_code(_: Any, S: Any) -> Any:
    """s of an array S of float64: s[i] reads and writes S[i], unchecked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(types.float64)(S), generate


def _chosen_code(_: Any, good: Any, new: Any, old: Any) -> Any:
    """new if good else old, as one operation: of a branch, LLVM may make a store of the one side alone."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return types.float64(good, new, old), generate


memory: Callable[..., Any] = intrinsic(_memory_code)
chosen: Callable[..., Any] = intrinsic(_chosen_code)


def weighted(offsets: tuple[int, ...], coefficients: tuple[float, ...]) -> Callable[..., Any]:
    """In compiled code: sum(s, l) = Σ c s[o + l] over the pairs (o, c), from the first to the last."""
    return _sum([(offset, ir.DoubleType()(c)) for offset, c in zip(offsets, coefficients, strict=True)])


def paired(pairs: tuple[tuple[int, int], ...]) -> Callable[..., Any]:
    """In compiled code: sum(s, l) = Σ s[o + l] s[u + l] over the pairs (o, u), from the first to the last."""
    return _sum(pairs)


def _sum(pairs: Sequence[tuple[int, Any]]) -> Callable[..., Any]:
    """Of products: of the number at an offset, and a constant or the number at another."""

    def sum_code(_: Any, s: Any, l: Any) -> Any:
        def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
            here, total = builder.gep(arguments[0], [arguments[1]]), None
            load = lambda offset: builder.load(builder.gep(here, [ir.IntType(64)(offset)]))  # noqa: E731
            for offset, other in pairs:
                factor = load(other) if isinstance(other, int) else other
                term = builder.fmul(load(offset), factor, flags=FLAGS)
                total = term if total is None else builder.fadd(total, term, flags=FLAGS)
            return total

        return types.float64(s, l), generate

    return intrinsic(sum_code)
