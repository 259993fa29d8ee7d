"""The text of a field's kernels: `advance`, one try of a step in every lane, and `begin`, for `dynamics.compiled` to execute.

A method brings the loops that lead from y, k and h to z, fz and the error (`dynamics.explicit_source`, order 7, and
`dynamics.stiff_source`, RODAS); here stand the choice of the next step and what a lane needs when it starts. The names in the
texts are those of `dynamics.kernel_text`.
"""

from __future__ import annotations

from dynamics import explicit_source, lanes, stiff_source
from dynamics.kernel_text import assign, at, every_lane, load, names, rows, store
from dynamics.lane_memory import FLAGS

SAFETY = 0.87  # of the step that would just reach the tolerance; up to HIGH times that, as the power is rough

OPTIONS = f"error_model='numpy', fastmath={{{', '.join(map(repr, FLAGS))}}}, nogil=True"
HEAD = f"""from math import inf, isfinite, nan
from numba import njit
from dynamics.lane_memory import memory, weighted
from dynamics.rough_power import inverse_root
inline = njit({OPTIONS}, forceinline=True)
field = inline(field)
"""
# of the exponent of the error's square, -1/2^n: powers of the error -1/8, gentler than order 7's own -1/7, and -1/4
HALVINGS = {"explicit": 4, "stiff": 3}


def control(kind: str, n: int, e: int, row: dict[str, int]) -> list[str]:
    """Of one lane after its try: takes z or stays at y, the next step, and whether the driver must look at it.

    h ← h · clip(SAFETY error^(-1/p), 0.2, 10), from the square of the error and with a rough power: steps are tried, not
    relied on, and the chain of exact roots and divisions would be waited for. No growth after a rejection.
    """
    g, v = names("g", e), names("v", e)
    body = [*load("g", row["g"], e), *load("v", row["v"], e)]
    body += [f"t, end, t_next = {at(lanes.T)}, {at(lanes.T_END)}, {at(lanes.T_NEXT)}"]
    body += [f"active = {at(lanes.ACTIVE)} != 0.0"]
    body += [f"h, square, stiff = {at(lanes.H_OLD)}, {at(row['square'])}, {at(row['edge'])} != 0.0"]
    body += [f"most_growth = 1.0 if {at(lanes.REJECTED)} != 0.0 else 10.0", "left = end - t", "whole = h >= left"]
    body += ["good = square <= 1.0", f"change = {SAFETY!r} * inverse_root(square, {HALVINGS[kind]})"]
    body += ["change = change if change > 0.2 else 0.2", "change = change if change < most_growth else most_growth"]
    body += ["change = change if good or change < 1.0 else 0.2"]
    body += ["new = end if whole else t + h", "new = new if good else t", "longer = h * change"]
    body += [f"tries = {at(lanes.TRIES)} + 1.0"]
    body += [f"stiff = stiff & good & (left > {lanes.STIFF_REMAINING!r} * h)"]
    body += [
        f"count = {at(lanes.STIFF)} + ((1.0 if stiff else -1.0) if good else 0.0)",
        "count = count if count > 0.0 else 0.0",
    ]
    body += ["small = (longer < 4e-16 * t) | (longer < 1e-60 * end)"]
    body += [
        "call = (good & ((new >= end) | (new >= t_next) | (count >= edges))) | (small & (not good)) | (tries >= most)"
    ]
    for j in range(e):
        body.append(f"{v[j]} = {v[j]} if good else {g[j]}")
        body.append(f"call |= (({v[j]} < 0.0) != ({g[j]} < 0.0)) & ({at(row['watch'] + j)} != 0.0)")
    body += ["call &= active", *store(row["g_old"], g), *store(row["g"], v)]
    stores = {lanes.T: "new", lanes.H: "longer", lanes.REJECTED: "0.0 if good else 1.0", lanes.TRIES: "tries",
              lanes.STEPS: f"{at(lanes.STEPS)} + (1.0 if good else 0.0)", lanes.STIFF: "count", lanes.T_OLD: "t",
              lanes.ACCEPTED: "1.0 if good else 0.0", lanes.CALL: "1.0 if call else 0.0"}  # fmt: skip
    body += [*(f"{at(r)} = {value}" for r, value in stores.items()), "calls += 1 if call else 0"]
    for old, new in (("y", "z"), ("k", "fz")):  # last: loaded earlier, they would crowd out what the lines above use
        before, after = names(old, n), names(new, n)
        body += [*load(old, row[old], n), *load(new, row[new], n), *store(row[f"{old}_old"], before)]
        body += store(row[old], [f"{after[j]} if good else {before[j]}" for j in range(n)])
    return body


def advance(kind: str, n: int, m: int, e: int) -> list[str]:
    """advance(S, used, limits): one try in each of the first `used` lanes; how many of them call."""
    method, row = {"explicit": explicit_source, "stiff": stiff_source}[kind], rows(n, m, e)
    lines = ["def advance(S, used, limits):", "    s, calls = memory(S), 0",
             "    atol, rtol, most, edges = limits[0], limits[1], limits[2], limits[3]", *method.loops(n, m, e)]  # fmt: skip
    if e:
        at_z = [at(row["z"] + j) for j in range(n)] + [at(row["q"] + j) for j in range(m)]
        lines += every_lane([assign([at(row["v"] + j) for j in range(e)], f"events({', '.join(at_z)})")])
    return [*lines, *every_lane(control(kind, n, e, row)), "    return calls"]


def begin(n: int, m: int, e: int) -> list[str]:
    """begin(S, l): velocity, event values and first step h of lane l from its state; h is not finite if they are not.

    The first step is a twentieth of the time in which the whole state, at its present speed, would change by itself;
    error control takes it from there. Not component by component: a target that starts at 0 would ask for 1e-30.
    """
    y, k, q, row = names("y", n), names("k", n), names("q", m), rows(n, m, e)
    body = ["s = memory(S)", *load("y", row["y"], n), *load("q", row["q"], m)]
    body += [assign(k, f"field({', '.join([*y, *q])})"), f"left = {at(lanes.T_END)} - {at(lanes.T)}"]
    body += [f"size, speed = {' + '.join(f'abs({x})' for x in y)}, {' + '.join(f'abs({x})' for x in k)}"]
    body += ["h = 0.05 * size / speed if size > 0.0 and speed > 0.0 else 1e-3 * left"]
    body += [f"{at(lanes.H)} = min(h, left) if isfinite(size) and isfinite(speed) else nan", *store(row["k"], k)]
    if e:
        g = names("g", e)
        body += [assign(g, f"events({', '.join([*y, *q])})"), *store(row["g"], g)]
    return ["def begin(S, l):", *("    " + line for line in body), "    return 0"]


def text(kind: str, n: int, m: int, e: int, jacobian: str) -> str:
    """advance and begin of one method, "explicit" or "stiff". To be executed where `field` and, if they are used,
    `events` and `jacobian` are defined; jacobian: see `stiff_source.jacobian_lines`."""
    own = ["events = inline(events)"] * (e > 0)
    own += ["jacobian = inline(jacobian)"] * (kind == "stiff" and jacobian == "analytic")
    method = explicit_source.sums(n, m, e) if kind == "explicit" else stiff_source.step(n, m, jacobian)
    parts = [HEAD.splitlines() + own, method, advance(kind, n, m, e), begin(n, m, e)]
    return "\n".join("\n".join(part) + "\n" for part in parts)
