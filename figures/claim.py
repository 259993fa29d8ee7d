"""The picture of one claim: what it says as lines, what each rung measured as lines or points with bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from figures import style
from figures.evidence import draw_evidence
from figures.read import Arrays, UnreadableRecord, finite, read_arrays, read_record, verify_remedy

LINES = ("flow", "exact")
NAMES = {
    "exact": "closed form",
    "flow": "flow, integrated",
    "descent": "gradient descent",
    "sgd": "SGD, mean ± 4 SE",
    "deep": "deep network, mean ± 4 SE",
}
MARKERS = {"descent": ("s", 5.5), "sgd": ("o", 3.5), "deep": ("^", 4.5)}  # sizes differ: agreeing rungs stay visible
OTHER = ("D", 4.0)
Measured = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]  # by rung: x (T,) and the curves (R, T, m)
DECADE = 10.0  # curves that span less than this read better on a linear axis
UNSEEN = "#dcdcdc"
FLOOR = 1e-12  # of the largest value: less of a flow is rounding and the integrator's atol of 1e-14, not the flow
MOST_MARKERS = 12  # a curve: more of them touch each other at column width
FEWEST_MARKERS = 4
MOST_CURVES = 12  # beyond this single curves cannot be told apart: an evenly spaced choice is drawn, and counted


def draw_claim(results: Path, claim_id: str) -> Path:
    """results/<id>/picture.png (and .svg) from the record: its curves, or where it has none its evidence. Raises
    UnreadableRecord."""
    record = read_record(results, claim_id)
    picture = record.get("picture")
    if not picture:
        return draw_evidence(record, results / claim_id / "picture")
    trace = read_arrays(results / claim_id / "trace.npz", verify_remedy(claim_id))
    with style.house():
        figure, axes = style.panels(height=2.7)
        _curves(axes[0, 0], picture, trace, claim_id)
        return style.finish(figure, results / claim_id / "picture", f"{claim_id} · {style.stamp(record['provenance'])}")


def _curves(ax: Axes, picture: Mapping[str, Any], trace: Arrays, claim_id: str) -> None:
    fails = bool(picture.get("counterexample"))
    rungs = [r for r in picture["rungs"] if f"{r}_measured" in trace]
    if not rungs:
        raise UnreadableRecord(f"the trace of {claim_id} holds no rung: {verify_remedy(claim_id)}")
    curves = {name: finite(value, f"{name} in the trace of {claim_id}") for name, value in trace.items()}
    m = curves[f"{rungs[0]}_measured"].shape[-1]
    shown = np.unique(np.linspace(0, m - 1, min(m, MOST_CURVES)).round().astype(int))
    measured = {r: (curves[f"{r}_x"], curves[f"{r}_measured"][..., shown]) for r in rungs}
    inks = style.colours(len(shown))
    stack = np.concatenate([y.ravel() for _, y in measured.values()])
    claimed = curves["claimed"][:, shown] if "claimed" in curves else None
    log = bool(picture.get("log")) and (stack > 0).any() and stack.max() > DECADE * max(stack.min(), 0.0)
    on_axis = claimed is not None and not (log and claimed.max() <= 0)  # a log axis has no place for a claimed 0
    floor = FLOOR * float(stack.max()) if log and "flow" in rungs and stack.min() < FLOOR * stack.max() else 0.0
    if floor:
        measured = _until_floor(measured, floor)
    if claimed is not None and on_axis:
        _claimed(ax, curves["claimed_x"], claimed, inks, fails)
    for rung, (x, y) in measured.items():
        for j, ink in enumerate(inks):
            _rung(ax, rung, x, y[..., j], ink, j, len(inks))
    if log:
        ax.set_yscale("log")
    else:
        _flat(ax, np.concatenate([stack, claimed.ravel()]) if claimed is not None else stack)
    ax.set_xlabel(picture["xlabel"])
    ax.set_ylabel(picture["ylabel"] + (f" ({len(shown)} of {m} curves)" if len(shown) < m else ""))
    if fails:
        ax.set_title("at the counterexample", color="#a33d00")
    handles: list[Artist] = [] if claimed is None else [_claimed_key(claimed, fails, on_axis)]
    handles += _keys(rungs, m)
    if floor:
        ax.set_ylim(bottom=floor / 10)
        ax.axhspan(floor / 10, floor, color=UNSEEN, zorder=5)
        handles.append(Patch(facecolor=UNSEEN, label="below the integrator's floor"))
    ax.figure.legend(handles=handles, loc="outside upper left", ncols=2, columnspacing=1.0)


def _until_floor(measured: Measured, floor: float) -> Measured:
    """The curves up to the first time from which all of them stay below the floor."""
    seen = [x[y.mean(0).max(-1) >= floor] for x, y in measured.values()]
    last = max(float(x[-1]) for x in seen if len(x))
    ends = {rung: int(np.searchsorted(x, last, side="right")) + 1 for rung, (x, _) in measured.items()}
    return {rung: (x[: ends[rung]], y[:, : ends[rung]]) for rung, (x, y) in measured.items()}


def _flat(ax: Axes, values: NDArray[Any]) -> None:
    """A constant up to rounding gets a frame of its own size, not one that blows rounding up to full height."""
    level = float(values.mean())
    if np.ptp(values) < 1e-9 * max(1.0, abs(level)):
        half = max(abs(level), 1.0) * 0.1
        ax.set_ylim(level - half, level + half)


def _claimed(ax: Axes, x: NDArray[Any], y: NDArray[Any], inks: Sequence[Any], fails: bool) -> None:
    if y.shape[-1] > 1 and np.ptp(y, axis=-1).max() == 0:  # one line for all components, so of no component's colour
        y, inks = y[:, :1], [style.GREY]
    for j, ink in enumerate(inks):
        if len(x) == 1:  # one instant: a bar, since a line through one point cannot be seen
            ax.plot(x, y[:, j], "_", color=ink, markersize=22, markeredgewidth=3, alpha=0.45)
        elif fails:
            ax.plot(x, y[:, j], color=ink, linestyle=(0, (4, 2)), linewidth=1.6)
        else:
            ax.plot(x, y[:, j], color=ink, linewidth=4.5, alpha=0.3, solid_capstyle="butt")


def _rung(ax: Axes, rung: str, x: NDArray[Any], y: NDArray[Any], ink: Any, j: int, of: int) -> None:
    """Component j of so many. Those after the first have thinner lines, and each its markers between those of the others,
    so that components that coincide are all seen."""
    if rung in LINES and len(x) > 1:
        ax.plot(x, y[0], color=ink, linewidth=2.0 if j == 0 and of > 1 else 1.2)
    else:
        step = max(-(-len(x) // MOST_MARKERS), min(2 * of, len(x) // FEWEST_MARKERS))
        style.band(ax, x, y, ink, *MARKERS.get(rung, OTHER), every=(j * step // of, step))


def _claimed_key(claimed: NDArray[Any], fails: bool, on_axis: bool) -> Line2D:
    label = ("claimed" if claimed.any() else "claimed: 0") + (", fails here" if fails else "")
    if not on_axis:
        return Line2D([], [], linestyle="none", label=label + " (off the axis)")
    if fails:
        return Line2D([], [], color=style.GREY, linestyle=(0, (4, 2)), linewidth=1.6, label=label)
    return Line2D([], [], color=style.GREY, linewidth=4.5, alpha=0.3, label=label)


def _keys(rungs: Sequence[str], m: int) -> list[Line2D]:
    """A legend's entry for each rung, and one for the colours of several components."""
    lines = [NAMES[r] for r in rungs if r in LINES]
    keys = [Line2D([], [], color=style.GREY, linewidth=1.2, label=" and ".join(lines))] if lines else []
    for rung in (r for r in rungs if r not in LINES):
        marker, size = MARKERS.get(rung, OTHER)
        look: Any = {"marker": marker, "markersize": size, "markerfacecolor": "white", "linestyle": "none"}
        keys.append(Line2D([], [], color=style.GREY, label=NAMES.get(rung, rung), **look))
    if m > 1:
        keys.append(Line2D([], [], linestyle="none", label="colours: components"))
    return keys
