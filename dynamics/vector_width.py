"""Vectors as wide as the machine has them, in compiled code that asks for them.

LLVM keeps to 256 bits on processors whose first AVX-512 units slowed the clock down for wider ones; in loops over lanes and in
tiles of products the wider ones are worth it on those of today. It is asked for function by function, so that nothing else
that numba compiles in this process changes. Where the machine has no wider vectors nothing does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
from numba import config, types
from numba.extending import intrinsic


def has_512_bits() -> bool:
    """Will numba compile for AVX-512? NUMBA_CPU_FEATURES decides, where it is set; else the machine."""
    features: str | None = config.CPU_FEATURES  # pyright: ignore[reportAttributeAccessIssue]  made from the environment
    if features is not None:
        return "+avx512f" in features.split(",")
    return bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))


def _widest_code(_: Any) -> Any:
    """The function that calls this, once it is compiled as a whole, may use vectors of 512 bits."""

    def generate(context: Any, builder: Any, _: Any, __: Any) -> Any:
        set.add(
            builder.function.attributes, '"prefer-vector-width"="512"'
        )  # llvmlite's own `add` knows no names in quotes
        return context.get_dummy_value()

    return types.void(), generate


widest: Callable[..., Any] = intrinsic(_widest_code)
