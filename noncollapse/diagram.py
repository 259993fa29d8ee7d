"""Phase diagrams of one mode over two of its parameters or starts: where it collapses, how fast, and the theory's lines.

    results/phase/<name>.npz   x (X,), y (Y,); end (Y, X): 0 collapse, 1 survival, 2 undecided; time (Y, X), in t;
                               line<i> (n, 2) and their labels; names and fixed values as text
    results/phase/<name>.json  the request, counts, failures, provenance

Every pixel is integrated and labelled by proven sets (`dynamics.phases`); no pixel is read off at a finite time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from dynamics import lanes, modes, phases
from dynamics.basin import separatrix
from dynamics.ensemble import MAX_TRIES, FieldError
from dynamics.run import Array
from noncollapse import records
from noncollapse.errors import UsageError
from noncollapse.sources import ROOT, hash_of

DEFAULTS: dict[str, float | None] = {  # None: beta, the target is the online network; w0, the start is on the parabola
    "eta": 0.1, "a": 1.25, "c": 1.0, "alpha_p": 1.0, "beta": None, "p0": 0.5, "w0": None, "tau0": 1.0,
}  # fmt: skip
FAILED = {  # how the integration of a pixel can fail, and leave it undecided
    lanes.NOT_FINITE: "they left the finite numbers",
    lanes.TOO_SMALL: "they asked for steps below rounding",
    lanes.TOO_MANY: f"they took more than {MAX_TRIES:,} steps",
}
MOST = 10_000  # pixels a side: beyond it a picture shows nothing more, and memory runs out


@dataclass(frozen=True)
class Axis:
    """One side of the diagram: `count` values of a parameter from low to high, evenly or by equal factors (log)."""

    name: str
    low: float
    high: float
    log: bool = False

    def values(self, count: int) -> Array:
        return (np.geomspace if self.log else np.linspace)(self.low, self.high, count)


def parse_axis(text: str) -> Axis:
    """NAME=LOW:HIGH or NAME=LOW:HIGH:log. Raises UsageError."""
    name, _, span = text.partition("=")
    parts = span.split(":")
    log = parts[2:] == ["log"]
    try:
        low, high = (float(part) for part in (parts[:-1] if log else parts))
    except ValueError:
        raise UsageError(
            f"axis {text!r} is not of the form NAME=LOW:HIGH or NAME=LOW:HIGH:log, as in eta=0:0.5"
        ) from None
    _known(name)
    if not np.isfinite([low, high]).all() or low >= high or (log and low <= 0):
        raise UsageError(f"axis {text!r}: give finite LOW < HIGH" + (", both positive, for log" if log else ""))
    return Axis(name, low, high, log)


def parse_value(text: str) -> tuple[str, float]:
    """NAME=VALUE. Raises UsageError."""
    name, _, value = text.partition("=")
    _known(name)
    try:
        return name, float(value)
    except ValueError:
        raise UsageError(f"--set {text!r} is not of the form NAME=VALUE, as in a=1.25") from None


def _known(name: str) -> None:
    if name not in DEFAULTS:
        raise UsageError(f"no parameter is called {name!r}: choose among {', '.join(DEFAULTS)}")


@np.errstate(all="ignore")  # values may run out of floats: such pixels are undecided, such points of a line left out
def compute(
    x: Axis,
    y: Axis,
    fixed: Mapping[str, float] = MappingProxyType({}),
    size: tuple[int, int] = (400, 400),
    threads: int = 1,
    progress: Callable[[int], Any] | None = None,
) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays of the diagram and what became of its members. Raises UsageError on a request that makes no sense."""
    if x.name == y.name or {x.name, y.name} & set(fixed):
        raise UsageError(f"{x.name}, {y.name}, {', '.join(fixed) or 'nothing fixed'}: name each parameter once")
    if min(size) < 2 or max(size) > MOST:
        raise UsageError(f"size {size[0]}x{size[1]}: give 2 to {MOST} pixels a side")
    columns: dict[str, Any] = {
        **DEFAULTS,
        **fixed,
        x.name: x.values(size[0])[None, :],
        y.name: y.values(size[1])[:, None],
    }
    if columns["beta"] is None and "tau0" in (x.name, y.name, *fixed):
        raise UsageError("tau0 has no say with an online target: give beta, by --set beta=0.5 or as an axis")
    parabola = columns["w0"] is None
    alpha_p = np.asarray(columns["alpha_p"])
    on_it = np.abs(columns["p0"]) / np.sqrt(
        np.where(alpha_p > 0, alpha_p, 1.0)
    )  # what is not positive is refused below
    start = columns | {"w0": on_it} if parabola else columns
    try:
        found = phases.classify(**start, threads=threads, progress=progress)
    except FieldError as error:
        raise UsageError(str(error)) from None
    lines = theory(columns, x, y, parabola)
    said = {
        n: v
        for n, v in columns.items()
        if np.ndim(v) == 0 and v is not None and not (n == "tau0" and columns["beta"] is None)
    }
    start_text = r"start on the parabola $w_0^2=p_0^2/\alpha_p$" if parabola else ""
    arrays = {
        "x": x.values(size[0]), "y": y.values(size[1]), "end": found.end.astype(np.int8), "time": found.time.astype(np.float32),
        "x_name": np.array(x.name), "y_name": np.array(y.name), "log": np.array([x.log, y.log]),
        "fixed_names": np.array(list(said), dtype="U"), "fixed_values": np.array(list(said.values()), dtype=float),
        "target": np.array("online target" if columns["beta"] is None else "EMA target"), "start": np.array(start_text),
        "labels": np.array([label for label, _ in lines], dtype="U"),
    } | {f"line{i}": line for i, (_, line) in enumerate(lines)}  # fmt: skip
    counts = {name: int((found.end == code).sum()) for code, name in enumerate(("collapse", "survival", "undecided"))}
    about = {"counts": counts, "failures": failures(found, x, y), "steps": float(found.run.steps.mean()),
             "stiff": float(found.run.stiff.mean())}  # fmt: skip
    return arrays, about


def failures(found: phases.Phases, x: Axis, y: Axis) -> list[str]:
    """A sentence a way in which pixels (Y, X) failed and stay undecided, in words of what a diagram is asked for. Empty if all is well."""
    out = []
    for code, why in FAILED.items():
        where = np.argwhere((found.run.status == code) & (found.end == phases.UNDECIDED))
        if len(where):
            (i, j), (rows, columns) = where[0], found.end.shape
            first = f"{x.name} = {x.values(columns)[j]:.3g}, {y.name} = {y.values(rows)[i]:.3g}"
            out.append(
                f"{len(where)} of {found.end.size} pixels are undecided, the first at {first}: {why}; give x, y and what is "
                "set less extreme values"
            )
    return out


def theory(columns: Mapping[str, Any], x: Axis, y: Axis, parabola: bool) -> list[tuple[str, Array]]:
    """(label, (n, 2)) of the exact lines that these axes can show: eta = eta_c = c²/4a, p∓, the stable manifold of p-."""
    axes = {x.name: x, y.name: y}
    fine = {name: axis.values(801) for name, axis in axes.items()}
    out: list[tuple[str, Array]] = []

    def add(label: str, vertical: str, values: Array) -> None:
        """The curve on which the axis `vertical` takes `values` over the fine values of the other axis."""
        other = fine[y.name if vertical == x.name else x.name]
        path = np.column_stack([values, other] if vertical == x.name else [other, values])
        out.append((label, path))

    def at(name: str, parameter: str) -> Array:
        """The values (801,) of a parameter along the curve that `add` draws over the axis `name`."""
        other = y.name if name == x.name else x.name
        return np.broadcast_to(np.asarray(fine[other] if parameter == other else columns[parameter], float), (801,))

    fold = {  # one equation, solved for the first of its letters that is an axis
        "eta": lambda: at("eta", "c") ** 2 / (4 * at("eta", "a")),
        "c": lambda: 2 * np.sqrt(at("c", "a") * at("c", "eta")),
        "a": lambda: at("a", "c") ** 2 / (4 * at("a", "eta")),
    }
    name = next((n for n in fold if n in axes), None)
    if name:
        add(r"$\eta_c=c^2/4a$", name, fold[name]())
    if "p0" in axes and parabola:
        roots = modes.fixed_points(*(at("p0", n) for n in ("a", "c", "eta")))
        note = "" if columns["beta"] is None else " (online target)"
        add(r"$p_-$" + note, "p0", np.asarray(roots.p_minus))
        add(r"$p_+$", "p0", np.asarray(roots.p_plus))
    if set(axes) == {"p0", "w0"} and columns["beta"] is None:
        a, c, alpha_p, eta = (float(columns[n]) for n in ("a", "c", "alpha_p", "eta"))
        unit, low, high = c / a, *(axes["p0"].values(2) * a / c)
        path = separatrix(1.0, 1.0, eta * a / c**2, low, high)  # in (x, y²) with a = c = alpha_p = 1
        points = np.column_stack([unit * path[:, 0], unit * np.sqrt(path[:, 1] / alpha_p)]) if len(path) else path
        out.append((r"stable manifold of $p_-$", points if x.name == "p0" else points[:, ::-1]))
        p = axes["p0"].values(401)
        curve = np.column_stack([p, np.abs(p) / np.sqrt(alpha_p)])
        out.append(("parabola", curve if x.name == "p0" else curve[:, ::-1]))
    return [(label, line) for label, line in out if np.isfinite(line).all(axis=-1).any()]


def save(results: Path, name: str, x: Axis, y: Axis, fixed: Mapping[str, float], size: tuple[int, int], threads: int,
         progress: Callable[[int], Any] | None = None) -> dict[str, Any]:  # fmt: skip
    """Compute a diagram and write its record; returns the JSON. Raises as `compute`."""
    began = time.perf_counter()
    arrays, about = compute(x, y, fixed, size, threads, progress)
    path = results / "phase" / f"{name}.npz"
    records.write_arrays(path, arrays)
    axes = {a.name: [a.low, a.high, *(["log"] if a.log else [])] for a in (x, y)}
    record: dict[str, Any] = {
        "name": name, "axes": axes, "fixed": dict(fixed), "size": list(size), **about,
        "provenance": records.provenance() | {
            "budget": f"{size[0]} x {size[1]}", "sources": sources(), "seconds": round(time.perf_counter() - began, 2),
            "threads": threads,
        },
    }  # fmt: skip
    records.write_json(path.with_suffix(".json"), record)
    return record


def sources() -> str:
    """sha256 (16 hex) of the code a diagram depends on."""
    return hash_of([Path(__file__), *sorted((ROOT / "dynamics").glob("*.py"))])
