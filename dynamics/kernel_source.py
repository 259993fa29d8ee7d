"""The text of a field's kernels: `advance`, one try of a step in every lane, and `begin`, for `dynamics.compiled` to execute.

A method brings the loops that lead from y and h to z and the error (`dynamics.taylor_source`, for rational fields,
`dynamics.verner_source`, order 7, and `dynamics.stiff_source`, RODAS); here stand the choice of the next step and what a lane
needs when it starts. The names in the texts are those of `dynamics.kernel_text`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dynamics import lanes, stiff_source, taylor_source, verner_source
from dynamics.kernel_text import assign, at, every_lane, load, names, rows, store
from dynamics.lane_memory import FLAGS
from dynamics.trace import Trace

SAFETY = 0.87  # of the step that would just reach the tolerance; up to HIGH times that, as the power is rough

OPTIONS = f"error_model='numpy', fastmath={{{', '.join(map(repr, FLAGS))}}}, nogil=True"
HEAD = f"""from math import inf, isfinite, nan
from numba import njit
import dynamics.zero_division
from dynamics.lane_memory import chosen, memory, paired, weighted
from dynamics.rough_power import inverse_root, inverse_roots
from dynamics.vector_width import widest
inline = njit({OPTIONS}, forceinline=True)
field = inline(field)
"""


@dataclass(frozen=True)
class Control:
    """How a method's steps are proposed: the first as a part of the time in which the state would change by itself, the next
    as growth error^(-1/p) times the last, 2^halvings = 2 p."""

    first: float
    growth: float
    halvings: int
    keeps_speed: bool = True  # is the field's value at z the next step's at y?


CONTROLS = {
    "taylor": Control(0.3, 2 * SAFETY, 4, keeps_speed=False),  # generously, as it shortens what is too long
    "verner": Control(0.05, SAFETY, 4),  # -1/8: gentler than order 7's own -1/7
    "stiff": Control(0.05, SAFETY, 3),
}


def control(kind: str, n: int, e: int, row: dict[str, int]) -> list[str]:
    """Of one lane after its try: is it good, the next step, and whether the driver must look at the lane.

    h ← h · clip(growth error^(-1/p), 0.2, 10), from the square of the error and with a rough power: steps are tried, not
    relied on, and the chain of exact roots and divisions would be waited for. No growth after a rejection.
    """
    g, v, method = names("g", e), names("v", e), CONTROLS[kind]
    body = [*load("g", row["g"], e), *load("v", row["v"], e)]
    body += [f"t, end, t_next = {at(lanes.T)}, {at(lanes.T_END)}, {at(lanes.T_NEXT)}"]
    body += [f"active = {at(lanes.ACTIVE)} != 0.0"]
    body += [f"h, square, stiff = {at(lanes.H_OLD)}, {at(row['square'])}, {at(row['edge'])} != 0.0"]
    body += [f"most_growth = 10.0 if {at(lanes.ACCEPTED)} != 0.0 else 1.0", "left = end - t", "whole = h >= left"]
    body += ["good = square <= 1.0", f"change = {method.growth!r} * inverse_root(square, {method.halvings})"]
    body += ["change = change if change > 0.2 else 0.2", "change = change if change < most_growth else most_growth"]
    body += ["change = chosen(good | (change < 1.0), change, 0.2)", "longer = h * change"]
    body += ["new = chosen(good & whole, end, t + chosen(good, h, 0.0))"]  # not t itself: see `taking`
    body += [f"tries = {at(lanes.TRIES)} + 1.0"]
    body += [f"stiff = stiff & good & (left > {lanes.STIFF_REMAINING!r} * h)"]
    body += [
        f"count = {at(lanes.STIFF)} + chosen(good, chosen(stiff, 1.0, -1.0), 0.0)",
        "count = count if count > 0.0 else 0.0",
    ]
    # below the rounding of t, or next to nothing of the span where t is 0 still
    body += ["small = (longer < 4e-16 * t) | (longer < 1e-60 * end)"]
    body += [
        "call = (good & ((new >= end) | (new >= t_next) | (count >= edges))) | (small & (not good)) | (tries >= most)"
    ]
    for j in range(e):
        body.append(f"{v[j]} = chosen(good, {v[j]}, {g[j]})")
        # 0 counts where it is reached: there may be no later step
        passed = f"(({v[j]} < 0.0) != ({g[j]} < 0.0)) | ({v[j]} == 0.0)"
        body.append(f"call |= ({passed}) & ({at(row['watch'] + j)} != 0.0)")
    stores = {lanes.T: "new", lanes.H: "longer", lanes.TRIES: "tries",
              lanes.STEPS: f"{at(lanes.STEPS)} + chosen(good, 1.0, 0.0)", lanes.STIFF: "count", lanes.T_OLD: "t",
              lanes.ACCEPTED: "chosen(good, 1.0, 0.0)"}  # fmt: skip
    body += ["call &= active", *(f"{at(r)} = {value}" for r, value in stores.items())]
    body += ["calls |= (1 if call else 0) << l"]
    for name, _, count in _moved(kind, n, e):  # last: loaded earlier, they would crowd out what the lines above use
        body += [*load(name, row[name], count), *store(row[f"{name}_old"], names(name, count))]
    return body


def taking(kind: str, n: int, e: int, row: dict[str, int]) -> list[str]:
    """Of one lane, its try judged: what is new, or where it was no good what was old.

    A loop of its own, from the old values' rows: LLVM stores a choice between another number and the row's own under a mask,
    for which AMD's processors take many times as long as for a plain store.
    """
    body = [f"good = {at(lanes.ACCEPTED)} != 0.0"]
    for name, new, count in _moved(kind, n, e):
        olds = [at(row[f"{name}_old"] + j) for j in range(count)]
        body += store(row[name], [f"chosen(good, {at(row[new] + j)}, {old})" for j, old in enumerate(olds)])
    return body


def _moved(kind: str, n: int, e: int) -> list[tuple[str, str, int]]:
    """(name, name of what comes after it, count) of what changes with a good step: event values, state, and its velocity."""
    return [("g", "v", e), ("y", "z", n), *[("k", "fz", n)] * CONTROLS[kind].keeps_speed]


def advance(kind: str, n: int, m: int, e: int, loops: list[str]) -> list[str]:
    """advance(S, used, limits): one try in each of the first `used` lanes; bit l of the answer: lane l calls."""
    row = rows(n, m, e)
    lines = ["def advance(S, used, limits):", "    widest()", "    s, calls = memory(S), 0",
             "    atol, rtol, most, edges = limits[0], limits[1], limits[2], limits[3]", *loops]  # fmt: skip
    if e:
        at_z = [at(row["z"] + j) for j in range(n)] + [at(row["q"] + j) for j in range(m)]
        lines += every_lane([assign([at(row["v"] + j) for j in range(e)], f"events({', '.join(at_z)})")])
    lines += [*every_lane(control(kind, n, e, row)), *every_lane(taking(kind, n, e, row))]
    return [*lines, "    return calls"]


def begin(kind: str, n: int, m: int, e: int) -> list[str]:
    """begin(S, l): velocity, event values and first step h of lane l from its state; h is not finite if they are not.

    The first step is a part of the time in which the whole state, at its present speed, would change by itself;
    error control takes it from there. Not component by component: a target that starts at 0 would ask for 1e-30.
    """
    y, k, q, row = names("y", n), names("k", n), names("q", m), rows(n, m, e)
    body = ["s = memory(S)", *load("y", row["y"], n), *load("q", row["q"], m)]
    body += [assign(k, f"field({', '.join([*y, *q])})"), f"left = {at(lanes.T_END)} - {at(lanes.T)}"]
    body += [f"size, speed = {' + '.join(f'abs({x})' for x in y)}, {' + '.join(f'abs({x})' for x in k)}"]
    body += [f"h = {CONTROLS[kind].first!r} * size / speed if size > 0.0 and speed > 0.0 else 1e-3 * left"]
    body += [f"{at(lanes.H)} = min(h, left) if isfinite(size) and isfinite(speed) else nan", *store(row["k"], k)]
    if e:
        g = names("g", e)
        body += [assign(g, f"events({', '.join([*y, *q])})"), *store(row["g"], g)]
    return ["def begin(S, l):", *("    " + line for line in body), "    return 0"]


def between(trace: Trace, n: int, m: int, e: int) -> list[str]:
    """between(S, alone, l, h): of `dynamics.lanes`, by the last step's coefficients; the one of order 0 is y_old by then."""
    z, g, q, row = names("z", n), names("g", e), names("q", m), rows(n, m, e)
    body = [
        "s, a = memory(S), memory(alone)",
        *taylor_source.horner(taylor_source.layout(trace, n, m, e), row["y_old"]),
    ]
    body += [f"a[{(row['y'] + j) * lanes.LANES}] = {z[j]}" for j in range(n)]
    if e:
        body += [*load("q", row["q"], m), assign(g, f"events({', '.join([*z, *q])})")]
        body += [f"a[{(row['g'] + j) * lanes.LANES}] = {g[j]}" for j in range(e)]
    return ["def between(S, alone, l, h):", *("    " + line for line in body), "    return 0"]


def slopes(n: int, m: int, e: int) -> list[str]:
    """slopes(S, l): the field's own Jacobian at lane l's state, row by row from `own` on, for `dynamics.compiled` to look at."""
    row = rows(n, m, e)
    body = ["s = memory(S)", *load("y", row["y"], n), *load("q", row["q"], m)]
    body += stiff_source.jacobian_lines(n, m, "analytic")
    body += store(row["own"], [f"m{i}{j}" for i in range(n) for j in range(n)])
    return ["def slopes(S, l):", *("    " + line for line in body), "    return 0"]


def text(kind: str, n: int, m: int, e: int, how: str | Trace) -> str:
    """advance and begin of one method, between of Taylor's, and slopes of a field's own Jacobian, to be executed where `field` and, if they are used, `events` and
    `jacobian` are defined.

    kind, and how: "taylor" and the field's trace, "stiff" and the way to its Jacobian (`stiff_source.jacobian_lines`), "verner"
    and nothing.
    """
    if isinstance(how, Trace):
        before, loops = taylor_source.sums(how, n, m, e), taylor_source.loops(how, n, m, e)
    elif kind == "verner":
        before, loops = verner_source.sums(n, m, e), verner_source.loops(n, m, e)
    else:
        before, loops = stiff_source.step(n, m, how), stiff_source.loops(n, m, e)
    used = ["events"] * (e > 0) + ["jacobian"] * (how == "analytic")
    head = [*HEAD.splitlines(), *(f"{name} = inline({name})" for name in used)]
    parts = [head, before, advance(kind, n, m, e, loops), begin(kind, n, m, e)]
    parts += [between(how, n, m, e)] if isinstance(how, Trace) else []
    parts += [slopes(n, m, e)] if how == "analytic" else []
    return "\n".join("\n".join(part) + "\n" for part in parts)


def memory_rows(kind: str, n: int, m: int, e: int, how: object) -> int:
    """Of the lanes' memory, in all."""
    if isinstance(how, Trace):
        return taylor_source.layout(how, n, m, e).end
    return verner_source.own_rows(n, m, e)["end"] if kind == "verner" else rows(n, m, e)["own"]
