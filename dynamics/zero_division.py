"""Division by zero in compiled code: x ** -n at 0 is inf and a complex quotient by 0 is NaN, as numpy's errors ask for.

numba computes both in functions of its own, and those raise at 0 whatever errors the code around them has chosen, so that one
member at 0 would end all others. Imported, this takes their place for float64 and complex128, whose types are more specific
than those that numba gives them for; code with Python's errors is passed on unchanged. Nowhere else is a bit another one.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import typing
from numba.cpython import numbers
from numba.extending import lower_builtin

POWERS = operator.pow, operator.ipow, pow
QUOTIENTS = operator.truediv, operator.itruediv


def constant_power(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """x ** n, n a constant: 1.0 / x ** -n for n < 0."""
    power = signature.args[1].literal_value
    if power >= 0 or context.error_model.raise_on_fp_zero_division:
        return numbers.static_power_impl(context, builder, signature, arguments)
    inverse = typing.signature(types.float64, types.float64, types.IntegerLiteral(-power))
    return builder.fdiv(ir.DoubleType()(1.0), numbers.static_power_impl(context, builder, inverse, arguments))


def power(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """x ** n, n a variable or an argument of a function."""
    if context.error_model.raise_on_fp_zero_division:
        return numbers.int_power_impl(context, builder, signature, arguments)
    x, n = arguments
    below = builder.icmp_signed("<", n, n.type(0))
    size = builder.select(below, builder.neg(n), n)
    found = numbers.int_power_impl(context, builder, signature, (x, size))
    return builder.select(below, builder.fdiv(ir.DoubleType()(1.0), found), found)


def quotient(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """a / b of complex numbers."""
    a, b = arguments
    if not context.error_model.raise_on_fp_zero_division:
        parts, zero = context.make_complex(builder, signature.args[1], value=b), ir.DoubleType()(0.0)
        nothing = builder.and_(*(builder.fcmp_ordered("==", x, zero) for x in (parts.real, parts.imag)))
        parts.real = builder.select(nothing, ir.DoubleType()(math.nan), parts.real)
        b = parts._getvalue()
    return numbers.complex_div_impl(context, builder, signature, (a, b))


for operation in POWERS:
    lower_builtin(operation, types.float64, types.IntegerLiteral)(constant_power)
    lower_builtin(operation, types.float64, types.int64)(power)
for operation in QUOTIENTS:
    lower_builtin(operation, types.complex128, types.complex128)(quotient)
