"""Compiled functions handed over as addresses: given as functions, numba would look for their machine code by name in every
call from Python, which takes as long as some hundred members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def address(function: Any, signature: Any) -> int:
    """Where the machine code of a compiled function for this signature begins, for as long as the function is kept."""
    made = function.get_compile_result(signature)
    return made.library.get_pointer_to_function(made.fndesc.llvm_func_name)


def at_address(signature: Any) -> Callable[..., Any]:
    """In compiled code: at(address) is the function of this signature that begins there."""
    kind = types.FunctionType(signature)

    def at(_: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, __: Any, arguments: Any) -> Any:
            function = cgutils.create_struct_proxy(kind)(context, builder)
            function.c_addr = function.py_addr = cgutils.get_null_value(cgutils.voidptr_t)
            function.jit_addr = builder.inttoptr(arguments[0], cgutils.voidptr_t)
            return function._getvalue()

        return kind(types.int64), generate

    return intrinsic(at)
