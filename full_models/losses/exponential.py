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
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from dynamics.vector_width import widest


@dataclass(frozen=True)
class Form:
    """What a floating type asks for. g: coefficients of g(r), the highest power first; ln2: its two parts, high and low."""

    dtype: type[np.floating[Any]]
    bits: Any  # the integer type of the same length
    g: tuple[float, ...]
    ln2: tuple[float, float]


FORMS: dict[Any, Form] = {
    types.float64: Form(
        np.float64,
        types.int64,
        (
            2.5100375832561234e-08, 2.7620075879983367e-07, 2.7557268480310024e-06, 2.4801521322368692e-05,
            0.00019841269863040545, 0.0013888888917196719, 0.008333333333330065, 0.041666666666624164,
            0.16666666666666669, 0.5000000000000001,
        ),
        (0.6931471803691238, 1.9082149292705877e-10),  # 32 bits, and the rest
    ),
    types.float32: Form(
        np.float32,
        types.int32,
        (0.0013926176, 0.008363173, 0.041666556, 0.16666578, 0.5),
        (0.693359375, -0.00021219444),  # 355 / 512, and the rest
    ),
}  # fmt: skip


@intrinsic
def _power_of_two(context: Any, t: Any) -> Any:
    """2^k from t = k + bias + 1.5·2^m: the bits of t, shifted left by m, read as a number."""
    form = FORMS[t]
    mantissa = np.finfo(form.dtype).nmant

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], context.get_value_type(form.bits))
        shifted = builder.shl(bits, context.get_constant(form.bits, mantissa))
        return builder.bitcast(shifted, context.get_value_type(t))

    return t(t), generate


def exponential(x: Any) -> Any:
    """exp x of a float64 or float32 in log(tiny) <= x <= log(max) - 1 in compiled code; NaN of NaN. Not of use beyond."""
    raise NotImplementedError("exponential is there for compiled code alone: call numpy.exp")


@overload(
    exponential, jit_options={"fastmath": {"contract"}}
)  # `reassoc` would add and take away the magic for nothing
def _exponential_of_a_form(x: Any) -> Callable[[Any], Any]:
    form = FORMS[x]
    about, number = np.finfo(form.dtype), form.dtype
    per_ln2, one = number(1 / math.log(2)), number(1)
    magic = number(1.5 * 2.0**about.nmant + about.maxexp - 1)
    high, low = (number(part) for part in form.ln2)
    first, *rest = (*(number(c) for c in form.g), one, one)
    others = tuple(rest)

    def compiled(x: Any) -> Any:
        t = x * per_ln2 + magic
        k = t - magic
        r = (x - k * high) - k * low
        p = first
        for c in others:
            p = p * r + c
        return p * _power_of_two(t)  # pyright: ignore[reportCallIssue]  numba adds the context

    return compiled


@kept_jit(nogil=True)
def exponentials(x: NDArray[Any], out: NDArray[Any]) -> None:
    """out = exp x, one-dimensional, of one type: the bare function, whose errors are tested and whose rate is a bound."""
    widest()
    for i in range(len(x)):
        out[i] = exponential(x[i])
