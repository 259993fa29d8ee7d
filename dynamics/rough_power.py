"""x^(-1/2^n) and x^(-1/2^n - 1/2^m) of compiled code to a few per cent, from the bits of x: all that the control of a step asks of a power.

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
# each of these over the exact power is from 1 to this for exponents up to 1/4: 2^(0.0861 / 4) by log2, 1.0615 by 2^f <= 1 + f
HIGH = 1.078


def _generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The bits of 1 plus, for each exponent 1/2^n, those of 1 less those of x, shifted by n."""
    x, out = builder.bitcast(arguments[0], INT64), INT64(ONE)
    for n in arguments[1:]:
        out = builder.sub(builder.add(out, builder.lshr(INT64(ONE), n)), builder.lshr(x, n))
    return builder.bitcast(out, DOUBLE)


def _inverse_root_code(_: Any, x: Any, n: Any) -> Any:
    """x^(-1/2^n), from 1 to HIGH times it; a number >= 0 for every x, also 0, infinity and NaN."""
    return types.float64(types.float64, types.int64), _generate


def _inverse_roots_code(_: Any, x: Any, n: Any, m: Any) -> Any:
    """x^(-1/2^n - 1/2^m), likewise."""
    return types.float64(types.float64, types.int64, types.int64), _generate


inverse_root: Callable[..., Any] = intrinsic(_inverse_root_code)
inverse_roots: Callable[..., Any] = intrinsic(_inverse_roots_code)
