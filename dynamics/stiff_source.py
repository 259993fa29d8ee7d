"""The text of one step of RODAS, the Rosenbrock method of order 4(3), over lanes side by side.

Written out for n states with its tableau's zeros left out, a step has no loop, no array and no call, and LLVM turns the
loop over lanes into vector instructions.
"""

from __future__ import annotations

from dynamics.kernel_text import (
    assign,
    combination,
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
from dynamics.tableaus import RODAS_A, RODAS_C, RODAS_GAMMA

EPSILON = 2.0**-200  # of the complex-step derivative: its square vanishes beside 1, and dividing by it is exact
CANCELLED = (
    1e-6  # a pivot that lost more than six digits: the step is repeated with a smaller h, which helps the diagonal
)


def jacobian_lines(n: int, m: int, how: str) -> list[str]:
    """m_ij = ∂f_i/∂y_j at y, `how`: "analytic" (the field's own function), "complex" (exact to rounding, for fields that
    are analytic in y), or "differences" (central, to about 1e-10, for any other)."""
    y, q, lines = names("y", n), names("q", m), []
    if how == "analytic":
        targets = ", ".join("(" + ", ".join(f"m{i}{j}" for j in range(n)) + ",)" for i in range(n))
        return [assign([targets], f"jacobian({', '.join([*y, *q])})")]
    if how == "differences":
        lines.append(f"least = 1e-8 * ({' + '.join(f'abs({x})' for x in y)}) + 1e-100")
    for j in range(n):
        if how == "complex":
            at = [f"complex({x}, {EPSILON if i == j else 0.0!r})" for i, x in enumerate(y)]
            lines.append(assign(names("d", n), f"field({', '.join([*at, *q])})"))
            # a velocity that is a whole number stays one, and its .imag in compiled code is the number itself
            lines += [f"m{i}{j} = complex(d{i}).imag * {1 / EPSILON!r}" for i in range(n)]
        else:
            # 6e-6, the cube root of rounding: there a central difference errs least
            lines.append(f"step = 6e-6 * max(abs({y[j]}), least)")
            for letter, sign in (("d", "+"), ("e", "-")):
                at = [f"{x} {sign} step" if i == j else x for i, x in enumerate(y)]
                lines.append(assign(names(letter, n), f"field({', '.join([*at, *q])})"))
            lines += [f"m{i}{j} = (d{i} - e{i}) / (2.0 * step)" for i in range(n)]
    return lines


def step(n: int, m: int, how: str) -> list[str]:
    """step(y, k, q, h, atol, rtol): z, f(z) and the square of the error norm.

    One LU without pivoting: the diagonal 1/(h gamma) rules where h is small, and a pivot that cancels makes the error
    infinite, so h shrinks.
    """
    y, k, q = names("y", n), names("k", n), names("q", m)
    J = [[f"m{i}{j}" for j in range(n)] for i in range(n)]
    head = ["@inline", f"def step({', '.join([*y, *k, *q, 'h', 'atol', 'rtol'])}):"]
    lines = [*jacobian_lines(n, m, how), f"w = {1 / RODAS_GAMMA!r} / h", "whole = True"]
    lines += [f"{J[i][j]} = {'w - ' if i == j else '-'}{J[i][j]}" for i in range(n) for j in range(n)]
    lines += [f"big{i} = abs({J[i][i]})" for i in range(n)]
    for c in range(n):
        lines += [f"whole &= abs({J[c][c]}) >= {CANCELLED!r} * big{c}", f"r{c} = 1.0 / {J[c][c]}"]
        for i in range(c + 1, n):
            lines.append(f"{J[i][c]} = {J[i][c]} * r{c}")
            lines.append(f"big{i} += abs({J[i][c]} * {J[c][i]})")
            lines += [f"{J[i][j]} = {J[i][j]} - {J[i][c]} * {J[c][j]}" for j in range(c + 1, n)]
    lines.append("per = 1.0 / h")
    u = [names(f"u{i}_", n) for i in range(6)]
    x = y
    for i in range(6):
        f = k
        if i:
            x = names(f"x{i}_", n)
            if i < 5:
                sums = [combination(RODAS_A[i], [u[r][j] for r in range(i)]) for j in range(n)]
                lines += [f"{x[j]} = {y[j]} + {sums[j]}" for j in range(n)]
            else:  # stiffly accurate: the sixth argument is the fifth plus the fifth increment
                lines += [f"{x[j]} = x4_{j} + {u[4][j]}" for j in range(n)]
            f = names(f"f{i}_", n)
            lines.append(assign(f, f"field({', '.join([*x, *q])})"))
        for j in range(n):
            extra = f" + per * ({combination(RODAS_C[i], [u[r][j] for r in range(i)])})" if i else ""
            below = "".join(f" - {J[j][c]} * {u[i][c]}" for c in range(j))
            lines.append(f"{u[i][j]} = {f[j]}{extra}{below}")
        for j in reversed(range(n)):
            above = "".join(f" - {J[j][c]} * {u[i][c]}" for c in range(j + 1, n))
            lines.append(f"{u[i][j]} = ({u[i][j]}{above}) * r{j}")
    z, fz = names("z", n), names("fz", n)
    lines += [f"{z[j]} = x5_{j} + {u[5][j]}" for j in range(n)]
    lines += [assign(fz, f"field({', '.join([*z, *q])})"), *scales(n)]
    lines.append(f"whole &= {finite([*z, *fz])}")
    lines.append(f"square = {mean_square([f'{u[5][j]} * s{j}' for j in range(n)])} if whole else inf")
    return [*head, *("    " + line for line in lines), f"    return {', '.join([*z, *fz])}, square"]


def loops(n: int, m: int, e: int) -> list[str]:
    """From y and k: z, fz, h and the square of the error norm; stability sets no edge."""
    row, y, k, q, z, fz = rows(n, m, e), *(names(x, c) for x, c in (("y", n), ("k", n), ("q", m), ("z", n), ("fz", n)))
    body = [*step_length(), *load("y", row["y"], n), *load("k", row["k"], n), *load("q", row["q"], m)]
    body += [f"{', '.join([*z, *fz])}, square = step({', '.join([*y, *k, *q, 'h', 'atol', 'rtol'])})"]
    body += [
        *store(row["z"], z),
        *store(row["fz"], fz),
        *store(row["square"], ["square"]),
        *store(row["edge"], ["0.0"]),
    ]
    return every_lane(body)
