"""x^(-1/2^n) of compiled code to a few per cent, from the bits of x: all that the control of a step asks of a power.

The bits of a float64 x = 2^e (1 + f), read as an integer, are 2^52 (1023 + e + f), and e + f is log2 x but for 0.0861 at most.
A power is a shift and a subtraction of such integers: no root, no division, and lanes of a vector need nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

INT64, DOUBLE = ir.IntType(64), ir.DoubleType()
ONE = 1023 << 52  # the bits of 1.0
HIGH = 1.078  # inverse_root(x, n) / x^(-1/2^n) is from 1 to this for n >= 2: 2^(0.0861 / 2^n) by log2, 1.0615 by 2^f <= 1 + f


def _inverse_root_code(_: Any, x: Any, n: Any) -> Any:
    """x^(-1/2^n), from 1 to HIGH times it; a number >= 0 for every x, also 0, infinity and NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, n = arguments
        at_one = builder.add(INT64(ONE), builder.lshr(INT64(ONE), n))
        return builder.bitcast(builder.sub(at_one, builder.lshr(builder.bitcast(x, INT64), n)), DOUBLE)

    return types.float64(types.float64, types.int64), generate


inverse_root: Callable[..., Any] = intrinsic(_inverse_root_code)
