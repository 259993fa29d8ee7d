"""Whole vectors of numbers in the machine code of compiled functions: how they are moved, multiplied and summed.

Written as LLVM vectors, since loops over arrays that may overlap vectorise by luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from dynamics.vector_width import has_512_bits

VECTOR_BYTES = 64 if has_512_bits() else 32  # where registers are narrower LLVM takes several
INT32, INT64 = ir.IntType(32), ir.IntType(64)


@dataclass(frozen=True)
class Vectors:
    """Machine code, at the builder's place, that moves and multiplies vectors of numbers of a kind."""

    context: Any
    builder: Any
    kind: Any  # numba's type of a number
    count: int = 0  # numbers of a vector, where it is not a whole one

    @property
    def lanes(self) -> int:
        """Numbers of a vector."""
        return self.count or VECTOR_BYTES * 8 // self.kind.bitwidth

    @property
    def type(self) -> ir.VectorType:
        return ir.VectorType(self.context.get_value_type(self.kind), self.lanes)

    def opened(self, signature: Any, arguments: Sequence[Any]) -> list[Any]:
        """The arguments of a call, each array as the address of its first number."""
        given = zip(signature.args, arguments, strict=True)
        return [
            self.context.make_array(t)(self.context, self.builder, x).data if isinstance(t, types.Array) else x
            for t, x in given
        ]

    def at(self, data: Any, start: Any, *steps: tuple[Any, Any]) -> Any:
        """Address of the number at start + Σ count stride."""
        for count, stride in steps:
            start = self.builder.add(start, self.builder.mul(count, stride))
        return self.builder.gep(data, [start])

    def rows(self, data: Any, start: Any, stride: Any, rows: int, vectors: int) -> dict[tuple[int, int], Any]:
        """Addresses of the vectors of a tile by (row, vector), rows `stride` numbers apart."""
        places = ((r, v) for r in range(rows) for v in range(vectors))
        return {(r, v): self.at(data, start, (INT64(r), stride), (INT64(v), INT64(self.lanes))) for r, v in places}

    def load(self, address: Any) -> Any:
        pointer = self.builder.bitcast(address, self.type.as_pointer())
        return self.builder.load(pointer, align=self.kind.bitwidth // 8)

    def store(self, value: Any, address: Any) -> None:
        pointer = self.builder.bitcast(address, self.type.as_pointer())
        self.builder.store(value, pointer, align=self.kind.bitwidth // 8)

    def spread(self, number: Any) -> Any:
        """A vector of the same number everywhere."""
        undefined, lanes = ir.Constant(self.type, ir.Undefined), ir.VectorType(INT32, self.lanes)
        everywhere = ir.Constant(lanes, [0] * self.lanes)
        first = self.builder.insert_element(undefined, number, INT32(0))
        return self.builder.shuffle_vector(first, undefined, everywhere)

    def add_product(self, total: Any, x: Any, y: Any) -> Any:
        """total + x y, fused where the machine can."""
        return self.builder.fadd(total, self.builder.fmul(x, y, flags=("contract",)), flags=("contract",))

    def sums(self, rows: int, vectors: int, A: Any, a: Any, ai: Any, al: Any, B: Any, b: Any, bl: Any, k: Any) -> Any:
        """Σ_l A[a + r ai + l al] B[b + l bl + v] of a tile, l < k, by (row, vector): in memory that becomes registers."""
        builder = self.builder
        sums = {(r, v): cgutils.alloca_once(builder, self.type) for r in range(rows) for v in range(vectors)}
        for total in sums.values():
            builder.store(ir.Constant(self.type, [0.0] * self.lanes), total)
        with cgutils.for_range(builder, k) as loop:
            row = builder.add(b, builder.mul(loop.index, bl))
            right = [self.load(address) for address in self.rows(B, row, bl, 1, vectors).values()]
            left = [self.spread(builder.load(self.at(A, a, (INT64(r), ai), (loop.index, al)))) for r in range(rows)]
            for (r, v), total in sums.items():
                builder.store(self.add_product(builder.load(total), left[r], right[v]), total)
        return sums
