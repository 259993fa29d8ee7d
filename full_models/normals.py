"""Standard normals in compiled code, many at once: a stream of words from generators side by side, made normal by blocks.

The generators are SFC64 (Doty-Humphrey, PractRand), the one of numpy: sums, shifts and no multiplication, so that vectors of
them run at the rate of vectors. Each has a state of its own out of one seed; its words are those that numpy's generator gives
from that state. Words become normals in `full_models.polar`. Sampled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from dynamics.run import Array
from dynamics.vector_width import widest
from full_models.polar import normals_of

LANES = 32  # generators side by side
BLOCK = 8192  # bytes of words, and of normals, made at a time: both stay in the first cache
MIXED = 12  # rounds before the first word, as numpy's

# Whole numbers of Python's would make floats of the words.
_one, _by, _left, _around, _back = (np.uint64(n) for n in (1, 11, 3, 24, 64 - 24))


class Normals:
    """An endless stream of float64 or float32; how it is cut into `fill`s does not change it. Raises ValueError."""

    def __init__(self, seed: np.random.SeedSequence, dtype: Any = np.float64) -> None:
        if np.dtype(dtype) not in (np.float64, np.float32):
            raise ValueError(f"normals of {np.dtype(dtype)} are not drawn here: ask for float64 or float32")
        if not isinstance(seed, np.random.SeedSequence):
            raise ValueError(f"the seed {seed!r} is no SeedSequence: give numpy.random.SeedSequence(…)")
        self.state = np.ones((4, LANES), np.uint64)  # the last row counts
        self.state[:3] = seed.generate_state(3 * LANES, np.uint64).reshape(3, LANES)
        self.words = np.empty(BLOCK // 8, np.uint64)
        _mix(self.state, self.words[: MIXED * LANES])
        self.block = np.empty(BLOCK // np.dtype(dtype).itemsize, dtype)
        self.unused = 0  # of the block, at its end

    def fill(self, shape: tuple[int, ...]) -> Array:
        """The next normals, in the order of memory."""
        out = np.empty(shape, self.block.dtype)
        whole = self.words.view(f"i{out.itemsize}")
        self.unused = _fill(self.state, self.words, whole, self.block, self.unused, out.reshape(-1))
        return out


@kept_jit(nogil=True)
def _fill(state: Any, words: Any, whole: Any, block: Any, unused: int, out: Array) -> int:
    """out, from the block's end first, then by blocks; returns how many of the last block are left. whole: the words' memory."""
    done = min(unused, len(out))
    out[:done] = block[len(block) - unused :][:done]
    unused -= done
    while done < len(out):
        _mix(state, words)
        count = min(len(block), len(out) - done)
        if count == len(block):
            normals_of(whole, out[done : done + count])
        else:
            normals_of(whole, block)
            out[done:] = block[:count]
            unused = len(block) - count
        done += count
    return unused


@kept_jit(nogil=True)
def _mix(state: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """The next len(out) / LANES words of every generator, a row of out each. They count alike."""
    widest()
    a, b, c, count = state[0], state[1], state[2], state[3, 0]
    for i in range(0, len(out), LANES):
        words = out[i : i + LANES]
        for l in range(LANES):
            x, y, z = a[l], b[l], c[l]
            word = x + y + count
            words[l] = word
            a[l], b[l] = y ^ (y >> _by), z + (z << _left)
            c[l] = ((z << _around) | (z >> _back)) + word
        count += _one
    state[3] = count
