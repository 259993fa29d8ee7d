"""What the texts of all kernels share: where a lane's numbers lie, and how sums, calls and loops over lanes are written.

Names in the texts: y state, k = f(y), q parameters, z the new state, fz = f(z), h step, s the memory; l is the lane, as in
`dynamics.lanes`, and row r of lane l is s[r LANES + l].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dynamics import lanes


def rows(n: int, m: int, e: int) -> dict[str, int]:
    """First row of each of a field's groups in the lanes' memory.

    watch to q: what the driver reads (`dynamics.lane_driver`). v: event values at z. square: of the error over the tolerance.
    edge: is h |λ| beyond the edge of stability? own: what a method keeps from loop to loop.
    """
    groups = {
        "watch": e, "g_old": e, "g": e, "y": n, "k": n, "y_old": n, "k_old": n, "q": m,
        "v": e, "z": n, "fz": n, "square": 1, "edge": 1, "own": 0,
    }  # fmt: skip
    out, first = {}, lanes.EVENTS
    for name, count in groups.items():
        out[name] = first
        first += count
    return out


def at(row: int) -> str:
    """The number in this row of lane l."""
    return f"s[{row * lanes.LANES} + l]"


def names(letter: str, count: int) -> list[str]:
    """`y0`, `y1` and so on: local variables of the texts."""
    return [f"{letter}{j}" for j in range(count)]


def load(letter: str, row: int, count: int) -> list[str]:
    """`y0 = s[...]` and so on. Loaded before use where only one of two is taken: LLVM would guard each load."""
    return [f"{x} = {at(row + j)}" for j, x in enumerate(names(letter, count))]


def store(row: int, values: Sequence[str]) -> list[str]:
    """`s[...] = value` of each, into this row and the next ones."""
    return [f"{at(row + j)} = {x}" for j, x in enumerate(values)]


def assign(targets: Sequence[str], values: str) -> str:
    """`a, b = values`, also right for a single target, whose value is a 1-tuple."""
    return f"({', '.join(targets)},) = {values}"


def combination(coefficients: Iterable[float], letters: Sequence[str]) -> str:
    """Σ c x as text, zeros left out."""
    return " + ".join(f"{float(c)!r} * {x}" for c, x in zip(coefficients, letters, strict=True) if c != 0)


def scales(n: int) -> list[str]:
    """One over the scale that each component's error is held against: s = 1 / (atol + rtol max(|y|, |z|))."""
    return [f"s{j} = 1.0 / (atol + rtol * max(abs(y{j}), abs(z{j})))" for j in range(n)]


def mean_square(terms: Sequence[str]) -> str:
    """(1/n) Σ x² as text."""
    return f"({' + '.join(f'({x}) * ({x})' for x in terms)}) * {1 / len(terms)!r}"


def finite(values: Sequence[str]) -> str:
    """Are they all finite? Asked of a step before its error: over an infinite scale any finite error would be none."""
    return f"{' + '.join(f'abs({x})' for x in values)} < inf"


def step_length() -> list[str]:
    """h: as proposed, but not beyond the end."""
    return [f"left = {at(lanes.T_END)} - {at(lanes.T)}", f"h = {at(lanes.H)}", "h = left if h >= left else h",
            f"{at(lanes.H_OLD)} = h"]  # fmt: skip


def every_lane(body: Iterable[str]) -> list[str]:
    """A loop over the lanes in use, as lines of a function's body."""
    return ["    for l in range(used):", *("        " + line for line in body)]
