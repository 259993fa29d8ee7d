"""exp x in compiled loops, for float64 and float32, at the rate of vector instructions.

Exponentials are where a softmax loses its time: numpy's and torch's may run at a fraction of what a core can do (the three
rates stand in benchmarks/results/infonce.md).

    x = k ln 2 + r,  |r| <= ln 2 / 2        exp x = 2^k (1 + r + r² g(r)),  g(r) = (e^r - 1 - r) / r²

k is rounded by adding 1.5·2^m and the exponents' bias (m: the bits of a fraction, 52 or 23): the last bits of the sum, shifted
left by m, are 2^k, without the conversion of float64 to integers that AVX2 lacks. ln 2 is taken away in two parts, the first so
short that k times it is exact (Cody & Waite 1980). g is the polynomial that equals it at Chebyshev's nodes of
[-ln 2 / 2, ln 2 / 2], of degree 9 (4 in float32), which puts exp x off by 2^-55.7 (2^-26.6) of itself; with rounding less
than one unit in the last place. The coefficients are derived again, and the errors measured, in tests/test_exponential.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from dynamics.vector_width import widest


@dataclass(frozen=True)
class Form:
    """What a floating type asks for. g: coefficients of g(r), the highest power first; ln2: its two parts, high and low."""

    dtype: type[np.floating[Any]]
    g: tuple[float, ...]
    ln2: tuple[float, float]


FORMS: dict[Any, Form] = {
    types.float64: Form(
        np.float64,
        (
            2.5100375832561234e-08, 2.7620075879983367e-07, 2.7557268480310024e-06, 2.4801521322368692e-05,
            0.00019841269863040545, 0.0013888888917196719, 0.008333333333330065, 0.041666666666624164,
            0.16666666666666669, 0.5000000000000001,
        ),
        (0.6931471803691238, 1.9082149292705877e-10),  # 32 bits, and the rest
    ),
    types.float32: Form(
        np.float32,
        (0.0013926176, 0.008363173, 0.041666556, 0.16666578, 0.5),
        (0.693359375, -0.00021219444),  # 355 / 512, and the rest
    ),
}  # fmt: skip


def exponential_code(builder: Any, kind: Any, x: Any) -> Any:
    """Machine code for exp x, of a number or a vector of numbers of that kind. No sum may be rearranged: t - magic would be t."""
    form, fused = FORMS[kind], {"flags": ("contract",)}
    about = np.finfo(form.dtype)

    def of_type(type_: Any, value: Any) -> Any:
        return ir.Constant(type_, [value] * type_.count if isinstance(type_, ir.VectorType) else value)

    def number(value: float) -> Any:
        return of_type(x.type, float(form.dtype(value)))

    def times_plus(a: Any, b: Any, c: Any) -> Any:
        return builder.fadd(builder.fmul(a, b, **fused), c, **fused)

    magic = number(1.5 * 2.0**about.nmant + about.maxexp - 1)
    t = times_plus(x, number(1 / math.log(2)), magic)
    k, r = builder.fsub(t, magic), x
    for part in form.ln2:
        r = times_plus(k, number(-part), r)
    p = number(form.g[0])
    for coefficient in (*form.g[1:], 1, 1):
        p = times_plus(p, r, number(coefficient))
    bits = ir.IntType(kind.bitwidth)
    bits = ir.VectorType(bits, x.type.count) if isinstance(x.type, ir.VectorType) else bits
    power = builder.shl(builder.bitcast(t, bits), of_type(bits, about.nmant))
    return builder.fmul(p, builder.bitcast(power, x.type))


def _exponential(_: Any, x: Any) -> Any:
    """exp x of a float64 or float32 in log(tiny) <= x <= log(max) - 1 in compiled code; NaN of NaN. Not of use beyond."""
    return x(x), lambda context, builder, signature, arguments: exponential_code(builder, x, arguments[0])


exponential: Callable[..., Any] = intrinsic(_exponential)


# its own fastmath: else, compiled first for a caller that lets sums be reordered, it would inherit that, and be kept so
@kept_jit(nogil=True, fastmath={"contract"})
def exponentials(x: NDArray[Any], out: NDArray[Any]) -> None:
    """out = exp x, one-dimensional, of one type: the bare function, whose errors are tested and whose rate is a bound."""
    widest()
    for i in range(len(x)):
        out[i] = exponential(x[i])
