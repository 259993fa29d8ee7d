"""The text of one step of Verner's explicit method of order 7, over lanes side by side.

One loop over the lanes for each stage, with the stages kept in the lanes' memory. Within one lane every sum waits for the
stage before it; lanes do not wait for each other, and a short loop lets the processor work on several at once. A step in
one loop over the lanes, its stages in registers, takes 1.7 times as long.

Order 7 was chosen by work at equal true error on `modes.field`: DOP853, of order 8, has 1.4 times the operations a step and
needs as many steps at 1e-9, a tenth fewer at 1e-6 and 1e-11; Verner's order 6 ties at 1e-6 and needs more work below.
"""

from __future__ import annotations

from collections.abc import Iterable

from dynamics import lanes
from dynamics.kernel_text import (
    assign,
    at,
    every_lane,
    finite,
    load,
    mean_square,
    names,
    rows,
    scales,
    step_length,
    store,
)
from dynamics.tableaus import VERNER_A, VERNER_B, VERNER_E

STAGES = 9  # after the first, k
STABILITY = 4.64  # h |λ| at which the method leaves its stability region on the negative axis
# from which a step counts as held by it: such steps scatter around the edge, four in five of them beyond this
EDGE = 0.9 * STABILITY
LAST = 8  # the stage (from 0) at the end of the step, whose argument x and velocity f(x) are held against z and f(z)


def own_rows(n: int, m: int, e: int) -> dict[str, int]:
    """The rows of all kernels, and of the stages ("own"), of x at stage LAST and of the scales; "end" of all."""
    row = rows(n, m, e)
    x = row["own"] + STAGES * n
    return row | {"x": x, "scale": x + n, "end": x + 2 * n}


def sums(n: int, m: int, e: int) -> list[str]:
    """The sums over stages by name: a1 to a9 of the arguments, b of the step, d of its error; each takes (s, l)."""
    row = rows(n, m, e)
    first = [row["k"], *(row["own"] + i * n for i in range(STAGES))]  # of each stage's velocity

    def named(name: str, coefficients: Iterable[float]) -> str:
        used = [(r * lanes.LANES, float(c)) for r, c in zip(first, coefficients, strict=True) if c]
        return f"{name} = weighted({tuple(r for r, _ in used)!r}, {tuple(c for _, c in used)!r})"

    return [*(named(f"a{i}", VERNER_A[i]) for i in range(1, STAGES + 1)), named("b", VERNER_B), named("d", VERNER_E)]


def loops(n: int, m: int, e: int) -> list[str]:
    """From y and k: z, fz, h, the square of the error norm, and whether h |λ| is beyond the edge of stability."""
    row, x, z = own_rows(n, m, e), names("x", n), names("z", n)
    y, q = [at(row["y"] + j) for j in range(n)], [at(row["q"] + j) for j in range(m)]
    of = lambda name, j: f"{name}(s, l + {j * lanes.LANES})"  # noqa: E731
    lines = []
    for i in range(1, STAGES + 1):
        body = step_length() if i == 1 else [f"h = {at(lanes.H_OLD)}"]
        body += [f"{x[j]} = {y[j]} + h * {of(f'a{i}', j)}" for j in range(n)]
        k = [at(row["own"] + (i - 1) * n + j) for j in range(n)]
        body.append(assign(k, f"field({', '.join([*x, *q])})"))
        lines += every_lane(body + (store(row["x"], x) if i == LAST else []))
    body = [f"h = {at(lanes.H_OLD)}", *load("y", row["y"], n)]
    body += [f"{z[j]} = y{j} + h * {of('b', j)}" for j in range(n)]
    body += [*scales(n), *store(row["z"], z), *store(row["scale"], names("s", n))]
    fz = [at(row["fz"] + j) for j in range(n)]
    return lines + every_lane([*body, assign(fz, f"field({', '.join([*z, *q])})")]) + every_lane(error(n, m, e))


def error(n: int, m: int, e: int) -> list[str]:
    """Of one lane, once z, fz and the scales s are there: square = mean_j (h s_j Σ_i e_i k_ij)², infinite where z or fz is, and
    edge: h ‖f(z) - f(x)‖ > EDGE ‖z - x‖ in the same scales, x the argument of stage LAST."""
    row = own_rows(n, m, e)
    last = row["own"] + (LAST - 1) * n
    body = [f"h = {at(lanes.H_OLD)}", *load("s", row["scale"], n)]
    body += [f"d{j} = d(s, l + {j * lanes.LANES}) * s{j}" for j in range(n)]
    body += [f"moved{j} = ({at(row['fz'] + j)} - {at(last + j)}) * s{j}" for j in range(n)]
    body += [f"apart{j} = ({at(row['z'] + j)} - {at(row['x'] + j)}) * s{j}" for j in range(n)]
    edge = f"h * h * {mean_square(names('moved', n))} > {EDGE**2!r} * {mean_square(names('apart', n))}"
    reached = [at(row[name] + j) for name in ("z", "fz") for j in range(n)]
    square = f"h * h * {mean_square(names('d', n))}"
    return [*body, *store(row["square"], [f"{square} if {finite(reached)} else inf"]),
            *store(row["edge"], [f"1.0 if {edge} else 0.0"])]  # fmt: skip
