"""Standard normals from random words by polar coordinates, in compiled loops at the rate of vector instructions.

    r = sqrt(-2 ln u),  θ uniform on the circle:    r cos θ and r sin θ are independent and N(0, 1)

(Box & Muller, Ann. Math. Stat. 29 (1958) 610). Methods that reject take fewer operations, but one number at a time.

u is the middle of one of 2^52 cells of (0, 1), of 2^31 in float32, so that |x| <= 8.6 and 6.7, which a normal exceeds once in
10^17 and in 4·10^10 draws. Its logarithm and the sine and cosine are their series, cut where the next term is below half a
unit in the last place of 1:

    ln u = k ln 2 + 2 (s + s³/3 + s⁵/5 + …),  s = (m - 1) / (m + 1),  u = 2^k m,  √½ <= m < √2

θ is π t / 2 with t in (-½, ½), an eighth of a turn to either side of 0; of two more bits one turns the cosine's sign, the other
lets sine and cosine change places. Sampled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from dynamics.machine_code import kept_jit
from dynamics.vector_width import widest

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
LOWEST = 64  # 2^-64 is below the least u: k + LOWEST >= 0


@dataclass(frozen=True)
class Form:
    """What a floating type asks for. whole: the integer of the same length; cells: log2 of u's number, below the bits of a word; terms: of each series."""

    real: type[np.floating[Any]]
    whole: type[np.signedinteger[Any]]
    cells: int
    log_terms: int
    turn_terms: int

    @property
    def fraction(self) -> int:
        """Bits of the type's fraction."""
        return np.finfo(self.real).nmant

    def bits(self, x: float) -> int:
        """Those of x, read as an integer."""
        return int(np.array(x, self.real).view(self.whole))


FORMS: dict[Any, Form] = {
    types.int64: Form(np.float64, np.int64, 52, 10, 9),
    types.int32: Form(np.float32, np.int32, 31, 5, 5),
}


def radius(word: Any) -> Any:
    """sqrt(-2 ln u) of a word, an int64 or int32, in compiled code: a float of its length."""
    raise NotImplementedError("radius is there for compiled code alone: ask for Normals")


def turned(r: Any, word: Any) -> Any:
    """r (cos θ, sin θ) of a word, in compiled code."""
    raise NotImplementedError("turned is there for compiled code alone: ask for Normals")


@overload(radius, jit_options={"fastmath": {"contract"}})
def _radius_of_a_form(word: Any) -> Callable[[Any], Any]:
    form = FORMS[word]
    real, whole, m = form.real, form.whole, form.fraction
    least, ones, one_bits = whole(form.bits(math.sqrt(0.5))), whole(2**m - 1), whole(form.bits(1.0))
    lifted = whole(form.bits(math.sqrt(0.5)) - (LOWEST << m))
    magic = whole(form.bits(1.5 * 2.0**m))  # the bits of k + 1.5·2^m are k more: AVX2 does not convert int64
    unmagic = real(1.5 * 2.0**m + LOWEST)
    one, two, ln2 = real(1), real(2), real(math.log(2))
    half, cell, last = real(0.5), real(2.0**-form.cells), whole(2**form.cells - 1)
    as_fraction, below, unused = form.cells == m, real(1 - 2.0 ** -(m + 1)), np.iinfo(whole).bits - form.cells
    first, *rest = (real(2 / (2 * i + 1)) for i in reversed(range(form.log_terms)))
    others = tuple(rest)

    def compiled(word: Any) -> Any:
        if as_fraction:  # of a number of [1, 2)
            u = whole(whole(whole(word >> unused) & ones) | one_bits).view(real) - below
        else:
            u = (real(whole(word >> unused) & last) + half) * cell
        bits = whole(real(u).view(whole) - lifted)
        k = whole(whole(bits >> m) + magic).view(real) - unmagic
        f = whole(whole(bits & ones) + least).view(real) - one
        s = f / (f + two)
        p = first
        for c in others:
            p = p * (s * s) + c
        return real(math.sqrt(-two * (k * ln2 + s * p)))

    return compiled


@overload(turned, jit_options={"fastmath": {"contract"}})
def _turned_of_a_form(r: Any, word: Any) -> Callable[[Any, Any], Any]:
    form = FORMS[word]
    real, whole, m = form.real, form.whole, form.fraction
    length, sign = np.iinfo(whole).bits, whole(np.iinfo(whole).min)
    ones, one = whole(2**m - 1), whole(form.bits(1.0))
    middle, half_a_cell = real(1.5), real(2.0 ** -(m + 1))  # their difference is no number of the type
    series = [real((-1) ** (i // 2) * (math.pi / 2) ** i / math.factorial(i)) for i in range(2 * form.turn_terms)]
    cosines, sines = tuple(series[-2::-2]), tuple(series[::-2])

    def compiled(r: Any, word: Any) -> Any:
        t = whole(whole(whole(word >> (length - m)) & ones) | one).view(real) - middle + half_a_cell
        q = t * t
        c, s = cosines[0], sines[0]
        for i in range(1, len(cosines)):
            c, s = c * q + cosines[i], s * q + sines[i]
        x, y = r * c, r * t * s
        x = whole(real(x).view(whole) ^ whole(whole(word << (length - 2)) & sign)).view(real)
        return (y, x) if word & 1 else (x, y)

    return compiled


@kept_jit(**OPTIONS)
def normals_of(words: Any, out: Any) -> None:
    """out (n,) of words (n,), n even, integers of out's length: pairs stand half of out apart. In two loops, since the constants
    of one would not fit into the registers."""
    widest()
    half = len(out) // 2
    x, y = out[:half], out[half:]
    for i in range(half):
        x[i] = radius(words[i])
    turns = words[half:]
    for i in range(half):
        x[i], y[i] = turned(x[i], turns[i])
