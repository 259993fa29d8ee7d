"""The text of a field's kernels: one step of DOP853 and of RODAS as straight-line scalar code, over lanes side by side.

Written out for n states, m parameters and e events, with the tableau's zeros left out, a step has no loop, no array and
no call, and LLVM turns the loop over lanes into vector instructions. `dynamics.compiled` executes the text. Order 8 was
chosen by measurement: in these lanes it ties with Dormand and Prince's order 5 at a true error of 1e-6 and wins below.

Names in the text: y state, k = f(y), q parameters, z the new state, fz = f(z), s the error scale; l and S as in
`dynamics.lanes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dynamics import lanes
from dynamics.tableaus import DOP853_A, DOP853_B, DOP853_E3, DOP853_E5, RODAS_A, RODAS_C, RODAS_GAMMA

STABILITY = 6.1  # h |λ| at which DOP853 leaves its stability region on the negative axis (Hairer & Wanner's dop853)
SAFETY = 0.87  # of the step that would just reach the tolerance; up to HIGH times that, as the power is rough
EPSILON = 2.0**-200  # of the complex-step derivative: its square vanishes beside 1, and dividing by it is exact
CANCELLED = (
    1e-6  # a pivot that lost more than six digits: the step is repeated with a smaller h, which helps the diagonal
)

OPTIONS = "error_model='numpy', fastmath={'contract', 'nsz'}, nogil=True"
HEAD = f"""from math import isfinite, nan
from numba import njit
from dynamics.rough_power import inverse_root
inline = njit({OPTIONS}, forceinline=True)
field = inline(field)
"""


def names(letter: str, count: int) -> list[str]:
    return [f"{letter}{j}" for j in range(count)]


def combination(coefficients: Iterable[float], letters: Sequence[str]) -> str:
    """Σ c x as text, zeros left out."""
    return " + ".join(f"{float(c)!r} * {x}" for c, x in zip(coefficients, letters, strict=True) if c != 0)


def assign(targets: Sequence[str], values: str) -> str:
    """`a, b = values`, also right for a single target, whose value is a 1-tuple."""
    return f"    ({', '.join(targets)},) = {values}"


def sizes(z: Sequence[str], y: Sequence[str]) -> list[str]:
    """One over the scale that each component's error is held against: s = 1 / (atol + rtol max(|y|, |z|))."""
    return [
        f"    s{j} = 1.0 / (atol + rtol * max(abs({a}), abs({b})))" for j, (a, b) in enumerate(zip(y, z, strict=True))
    ]


def mean_square(terms: Sequence[str]) -> str:
    return f"({' + '.join(f'({x}) * ({x})' for x in terms)}) * {1 / len(terms)!r}"


def explicit_step(n: int, m: int) -> list[str]:
    """DOP853: returns z, f(z), the square of the error norm, and whether h |λ| is beyond the edge of stability."""
    y, q, stages = names("y", n), names("q", m), len(DOP853_B)
    k = [names(f"k{i}_", n) for i in range(stages)]
    lines = ["@inline", f"def step({', '.join([*y, *k[0], *q, 'h', 'atol', 'rtol'])}):"]
    for i in range(1, stages):
        x = names(f"x{i}_", n)
        for j in range(n):
            lines.append(f"    {x[j]} = {y[j]} + h * ({combination(DOP853_A[i, :i], [k[r][j] for r in range(i)])})")
        lines.append(assign(k[i], f"field({', '.join([*x, *q])})"))
    z, fz = names("z", n), names("fz", n)
    for j in range(n):
        lines.append(f"    {z[j]} = {y[j]} + h * ({combination(DOP853_B, [stage[j] for stage in k])})")
    lines += [assign(fz, f"field({', '.join([*z, *q])})"), *sizes(z, y)]
    for name, e in (("a", DOP853_E5), ("b", DOP853_E3)):
        terms = [f"({combination(e, [stage[j] for stage in k])}) * s{j}" for j in range(n)]
        lines += [f"    {name}{j} = {term}" for j, term in enumerate(terms)]
    lines.append(f"    a, b = {mean_square(names('a', n))}, {mean_square(names('b', n))}")
    lines.append("    square = h * h * a * (a / (a + 0.01 * b + 1e-300))")
    moved = " + ".join(f"(({fz[j]} - {k[-1][j]}) * s{j}) * (({fz[j]} - {k[-1][j]}) * s{j})" for j in range(n))
    apart = " + ".join(
        f"(({z[j]} - x{stages - 1}_{j}) * s{j}) * (({z[j]} - x{stages - 1}_{j}) * s{j})" for j in range(n)
    )
    lines.append(f"    stiff = h * h * ({moved}) > {STABILITY**2!r} * ({apart})")
    return [*lines, f"    return {', '.join([*z, *fz])}, square, stiff"]


def jacobian_lines(n: int, m: int, how: str) -> list[str]:
    """m_ij = ∂f_i/∂y_j at y, `how`: "analytic" (the field's own function), "complex" (exact to rounding, for fields that
    are analytic in y), or "differences" (central, to about 1e-10, for any other)."""
    y, q, lines = names("y", n), names("q", m), []
    if how == "analytic":
        targets = ", ".join("(" + ", ".join(f"m{i}{j}" for j in range(n)) + ",)" for i in range(n))
        return [assign([targets], f"jacobian({', '.join([*y, *q])})")]
    if how == "differences":
        lines.append(f"    least = 1e-8 * ({' + '.join(f'abs({x})' for x in y)}) + 1e-100")
    for j in range(n):
        if how == "complex":
            at = [f"complex({x}, {EPSILON if i == j else 0.0!r})" for i, x in enumerate(y)]
            lines.append(assign(names("d", n), f"field({', '.join([*at, *q])})"))
            lines += [f"    m{i}{j} = d{i}.imag * {1 / EPSILON!r}" for i in range(n)]
        else:
            lines.append(f"    step = 6e-6 * max(abs({y[j]}), least)")
            for letter, sign in (("d", "+"), ("e", "-")):
                at = [f"{x} {sign} step" if i == j else x for i, x in enumerate(y)]
                lines.append(assign(names(letter, n), f"field({', '.join([*at, *q])})"))
            lines += [f"    m{i}{j} = (d{i} - e{i}) / (2.0 * step)" for i in range(n)]
    return lines


def stiff_step(n: int, m: int, how: str) -> list[str]:
    """RODAS: as explicit_step. One LU without pivoting: the diagonal 1/(h gamma) rules where h is small, and a pivot
    that cancels makes the error infinite, so h shrinks."""
    y, k, q = names("y", n), names("k0_", n), names("q", m)
    J = [[f"m{i}{j}" for j in range(n)] for i in range(n)]
    lines = ["@inline", f"def step({', '.join([*y, *k, *q, 'h', 'atol', 'rtol'])}):", *jacobian_lines(n, m, how)]
    lines += [f"    w = {1 / RODAS_GAMMA!r} / h", "    whole = True"]
    lines += [f"    {J[i][j]} = {'w - ' if i == j else '-'}{J[i][j]}" for i in range(n) for j in range(n)]
    lines += [f"    big{i} = abs({J[i][i]})" for i in range(n)]
    for c in range(n):
        lines += [f"    whole &= abs({J[c][c]}) >= {CANCELLED!r} * big{c}", f"    r{c} = 1.0 / {J[c][c]}"]
        for i in range(c + 1, n):
            lines.append(f"    {J[i][c]} = {J[i][c]} * r{c}")
            lines.append(f"    big{i} += abs({J[i][c]} * {J[c][i]})")
            lines += [f"    {J[i][j]} = {J[i][j]} - {J[i][c]} * {J[c][j]}" for j in range(c + 1, n)]
    lines.append("    per = 1.0 / h")
    u = [names(f"u{i}_", n) for i in range(6)]
    x = y
    for i in range(6):
        f = k
        if i:
            x = names(f"x{i}_", n)
            if i < 5:
                sums = [combination(RODAS_A[i], [u[r][j] for r in range(i)]) for j in range(n)]
                lines += [f"    {x[j]} = {y[j]} + {sums[j]}" for j in range(n)]
            else:  # stiffly accurate: the sixth argument is the fifth plus the fifth increment
                lines += [f"    {x[j]} = x4_{j} + {u[4][j]}" for j in range(n)]
            f = names(f"f{i}_", n)
            lines.append(assign(f, f"field({', '.join([*x, *q])})"))
        for j in range(n):
            extra = f" + per * ({combination(RODAS_C[i], [u[r][j] for r in range(i)])})" if i else ""
            below = "".join(f" - {J[j][c]} * {u[i][c]}" for c in range(j))
            lines.append(f"    {u[i][j]} = {f[j]}{extra}{below}")
        for j in reversed(range(n)):
            above = "".join(f" - {J[j][c]} * {u[i][c]}" for c in range(j + 1, n))
            lines.append(f"    {u[i][j]} = ({u[i][j]}{above}) * r{j}")
    z, fz = names("z", n), names("fz", n)
    lines += [f"    {z[j]} = x5_{j} + {u[5][j]}" for j in range(n)]
    lines += [assign(fz, f"field({', '.join([*z, *q])})"), *sizes(z, y)]
    lines.append(f"    square = {mean_square([f'{u[5][j]} * s{j}' for j in range(n)])} if whole else 1e300")
    return [*lines, f"    return {', '.join([*z, *fz])}, square, False"]


def every_lane(kind: str, n: int, m: int, e: int) -> list[str]:
    """advance(S, count, limits): one try in each of the first `count` lanes; how many of them call.

    h ← h · clip(SAFETY error^(-1/p), 0.2, 10), from the square of the error and with a rough power: steps are tried, not
    relied on, and the chain of exact roots and divisions would be waited for. No growth after a rejection.
    """
    y, k, q, z, fz = names("y", n), names("k0_", n), names("q", m), names("z", n), names("fz", n)
    g, row = names("g", e), rows(n, e)
    halvings = {"explicit": 4, "stiff": 3}[kind]  # of the exponent of the error's square: orders 8 and 4
    at = lambda r: f"S[{r * lanes.LANES} + l]"  # noqa: E731
    lines = [
        "def advance(S, count, limits):",
        "    atol, rtol, most, edges = limits[0], limits[1], limits[2], limits[3]",
        "    calls = 0",
        "    for l in range(count):",
    ]
    body = [
        f"{x} = {at(row[name] + j)}" for name, xs in (("y", y), ("k", k), ("q", q), ("g", g)) for j, x in enumerate(xs)
    ]
    body += [f"t, end, t_next = {at(lanes.T)}, {at(lanes.T_END)}, {at(lanes.T_NEXT)}"]
    body += [f"active = {at(lanes.ACTIVE)} != 0.0", f"most_growth = 1.0 if {at(lanes.REJECTED)} != 0.0 else 10.0"]
    body += [f"h = {at(lanes.H)}", "left = end - t", "whole = h >= left", "h = left if whole else h"]
    body += [f"({', '.join([*z, *fz])}, square, stiff) = step({', '.join([*y, *k, *q, 'h', 'atol', 'rtol'])})"]
    body += ["good = square <= 1.0", f"change = {SAFETY!r} * inverse_root(square, {halvings})"]
    body += ["change = change if change > 0.2 else 0.2", "change = change if change < most_growth else most_growth"]
    body += ["change = change if good or change < 1.0 else 0.2"]
    body += ["new = end if whole else t + h", "new = new if good else t", "longer = h * change"]
    body += [f"tries = {at(lanes.TRIES)} + 1.0"]
    body += [f"edge = stiff & good & (left > {lanes.STIFF_REMAINING!r} * h)"]
    body += [
        f"count = {at(lanes.STIFF)} + ((1.0 if edge else -1.0) if good else 0.0)",
        "count = count if count > 0.0 else 0.0",
    ]
    body += ["small = (longer < 4e-16 * t) | (longer < 1e-60 * end)"]
    body += [
        "call = (good & ((new >= end) | (new >= t_next) | (count >= edges))) | (small & (not good)) | (tries >= most)"
    ]
    if e:
        body.append(f"({', '.join(names('v', e))},) = events({', '.join([*z, *q])})")
    for j in range(e):
        body.append(f"v{j} = v{j} if good else g{j}")
        body.append(f"call |= ((v{j} < 0.0) != (g{j} < 0.0)) & ({at(row['watch'] + j)} != 0.0)")
        body += [f"{at(row['g_old'] + j)} = g{j}", f"{at(row['g'] + j)} = v{j}"]
    body += ["call &= active"]
    for j in range(n):
        body += [f"{at(row['y_old'] + j)} = y{j}", f"{at(row['y'] + j)} = z{j} if good else y{j}"]
        body += [f"{at(row['k_old'] + j)} = k0_{j}", f"{at(row['k'] + j)} = fz{j} if good else k0_{j}"]
    stores = {lanes.T: "new", lanes.H: "longer", lanes.REJECTED: "0.0 if good else 1.0", lanes.TRIES: "tries",
              lanes.STEPS: f"{at(lanes.STEPS)} + (1.0 if good else 0.0)", lanes.STIFF: "count", lanes.T_OLD: "t",
              lanes.H_OLD: "h", lanes.ACCEPTED: "1.0 if good else 0.0", lanes.CALL: "1.0 if call else 0.0"}  # fmt: skip
    body += [f"{at(r)} = {value}" for r, value in stores.items()]
    body += ["calls += 1 if call else 0"]
    return [*lines, *("        " + line for line in body), "    return calls"]


def rows(n: int, e: int) -> dict[str, int]:
    """First row of each of a field's own groups in the lanes' memory."""
    first = lanes.EVENTS + 3 * e
    return {"watch": lanes.EVENTS, "g_old": lanes.EVENTS + e, "g": lanes.EVENTS + 2 * e,
            "y": first, "k": first + n, "y_old": first + 2 * n, "k_old": first + 3 * n, "q": first + 4 * n}  # fmt: skip


def begin(n: int, m: int, e: int) -> list[str]:
    """begin(S, l): velocity, event values and first step h of lane l from its state; h is not finite if they are not.

    The first step is a twentieth of the time in which the whole state, at its present speed, would change by itself;
    error control takes it from there. Not component by component: a target that starts at 0 would ask for 1e-30.
    """
    y, k, q, g, row = names("y", n), names("k", n), names("q", m), names("g", e), rows(n, e)
    at = lambda r: f"S[{r * lanes.LANES} + l]"  # noqa: E731
    lines = ["def begin(S, l):"]
    lines += [f"    {x} = {at(row[name] + j)}" for name, xs in (("y", y), ("q", q)) for j, x in enumerate(xs)]
    lines += [assign(k, f"field({', '.join([*y, *q])})"), f"    left = {at(lanes.T_END)} - {at(lanes.T)}"]
    lines += [f"    size, speed = {' + '.join(f'abs({x})' for x in y)}, {' + '.join(f'abs({x})' for x in k)}"]
    lines += ["    h = 0.05 * size / speed if size > 0.0 and speed > 0.0 else 1e-3 * left"]
    lines += [f"    {at(lanes.H)} = min(h, left) if isfinite(size) and isfinite(speed) else nan"]
    lines += [f"    {at(row['k'] + j)} = {x}" for j, x in enumerate(k)]
    if e:
        lines.append(assign(g, f"events({', '.join([*y, *q])})"))
    return [*lines, *(f"    {at(row['g'] + j)} = {x}" for j, x in enumerate(g)), "    return 0"]


def text(kind: str, n: int, m: int, e: int, jacobian: str) -> str:
    """advance and begin of one method, "explicit" or "stiff". To be executed where `field` and, if they are used,
    `events` and `jacobian` are defined; jacobian: see jacobian_lines."""
    step = explicit_step(n, m) if kind == "explicit" else stiff_step(n, m, jacobian)
    own = ["events = inline(events)"] * (e > 0)
    own += ["jacobian = inline(jacobian)"] * (kind == "stiff" and jacobian == "analytic")
    parts = [HEAD.splitlines() + own, step, every_lane(kind, n, m, e), begin(n, m, e)]
    return "\n".join("\n".join(part) + "\n" for part in parts)
