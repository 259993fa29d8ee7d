"""What a fault in the blocks of a softmax loss would look like: their sources, changed, read as Python."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from softmax_cases import Parts, excess
from tile_oracles import SOURCES, exponential_tiles_by_numpy, parts_of, uncompiled

FAULTS = {
    "own key kept": ("if offset > 0 and start", "if False and start"),
    "own key's score far from nothing": ("2 - 2 * safe if bounded", "0 if bounded"),
    "positive at the wrong key": ("(shift + i) % N", "(shift + i + 1) % N"),
    "value of the wrong key": ("at = first + offset + i\n", "at = first + offset + i + 1\n"),
    "positive not taken away in ∂J/∂k": ("room.E[at, i] -= room.Z[i]", "pass"),
    "positive not taken away in ∂J/∂q": ("room.G[l, i] - room.Z[i] * c[at] * k[at, l]", "room.G[l, i]"),
    "sum not divided out": ("share = per_tau / (q.dtype.type(N) * room.Z[i])", "share = per_tau / q.dtype.type(N)"),
    "1 / tau lost in the scores": ("b[i] * q[i, l] * per_tau", "b[i] * q[i, l]"),
    "lengths of q lost in the scores": ("b[i] * q[i, l] * per_tau", "q[i, l] * per_tau"),
    "lengths of q lost in ∂J/∂q": ("* share * b[i]", "* share"),
    "lengths of q lost in ∂J/∂k": ("b[i] * q[i, l] * share", "q[i, l] * share"),
    "lengths of k lost in the scores": ("c[start + j] * k[start + j, l]", "k[start + j, l]"),
    "lengths of k lost in ∂J/∂k": ("gk *= c[: len(gk), None]", "pass"),
    "exponentials of later tiles lost": ("for j in range(0, n, ROWS)", "for j in range(0, ROWS, ROWS)"),
    "a chunk's tail lost": ("n = min(CHUNK, stop - start)", "n = min(CHUNK, stop - start) // ROWS * ROWS"),
    "keys beyond the last counted": ("room.S[n:whole] = own", "pass"),
    "maximum not given back": ("np.log(room.Z[i]) + room.top[i]", "np.log(room.Z[i])"),
    "sums before a higher maximum kept, Z": ("room.Z[i] *= factor", "pass"),
    "sums before a higher maximum kept, ∂J/∂q": ("room.G[:, i] *= factor", "pass"),
    "exponentials before a higher maximum kept": ("e[i] *= before[i]", "pass"),
    "columns beyond the last whole tile lost": ("if whole < n:", "if False:"),
    "columns of whole tiles lost": ("for j in range(0, whole, width):", "for j in range(width, whole, width):"),
    "keys with names taken for others": ("met = False", "return False"),
    "own keys taken for others": ("for at in (first, first + offset,", "for at in (first + offset,"),
    "positives beyond the last key taken for others": ("first + offset, first + offset - N)", "first + offset)"),
    "a cut chunk taken for a whole one": ("and n == CHUNK and", "and"),
    "scores without a bound not held": ("own, not bounded, room", "own, False, room"),
    "scores that are held made again": ("return whole, 0", "return whole, d"),
    "the top not taken away": ("            if bounded:\n", "            if True:\n"),
    "first dimensions of ∂J/∂q lost": (
        "for l in range(0, len(room.G), ROWS)",
        "for l in range(ROWS, len(room.G), ROWS)",
    ),
    "∂J/∂q of the block before kept": ("room.G[:] = 0", "pass"),
    "tiles of exponentials lost": (
        "for i in range(0, R, width):\n        for j in range(0, n",
        "for i in range(width, R, width):\n        for j in range(0, n",
    ),
    "the first chunk not read again": ("- 1, -1, -1)", "- 1, 0, -1)"),
    "first numbers of a score lost": ("sum_so_far = one if l else zero", "sum_so_far = zero"),
}


def as_python(*sources: str) -> Callable[..., Parts]:
    """by_blocks of the sources of `chunk` and `softmax_block`."""
    names = ("CHUNK", "add_keys", "add_product", "load", "make_room", "named", "scores")
    parts = parts_of(sources[0])
    own = {name: parts[name] for name in names} | exponential_tiles_by_numpy()
    return uncompiled(sources[1], **own)["by_blocks"]


def worst_of(blocks: Callable[..., Parts]) -> float:
    """Infinite where it reads beyond an array, which compiled code would do in silence."""
    with suppress(IndexError), np.errstate(all="ignore"):  # a fault may divide by zero
        return max(
            excess(blocks, 93, d, "float64", spread, offset)
            for d in (3, 18)  # scores by one sum, which may be exponentials at once, and by several
            for spread in (5.0, 2000.0)
            for offset in (0, 35)  # more than a chunk: own keys and positives are then not in the same ones
        )
    return np.inf


def test_the_source_read_as_python_is_the_formula() -> None:
    assert worst_of(as_python(*SOURCES)) <= 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    old, new = FAULTS[name]
    assert sum(old in source for source in SOURCES) == 1
    # rounding is below 1; each fault is one of at least 1e-3 of the unit, and the law here is 8 (111) eps 2000 = 4e-10
    assert worst_of(as_python(*(source.replace(old, new) for source in SOURCES))) > 1e6
