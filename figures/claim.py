"""The picture of one claim: what it says as lines, what each rung measured as lines or points with bands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
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
DECADE = 10.0  # curves that span less than this read better on a linear axis
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
    measured = {r: curves[f"{r}_measured"] for r in rungs}
    m = measured[rungs[0]].shape[-1]
    shown = np.unique(np.linspace(0, m - 1, min(m, MOST_CURVES)).round().astype(int))
    inks = style.colours(len(shown))
    if "claimed" in curves:
        _claimed(ax, curves["claimed_x"], curves["claimed"], shown, inks, fails)
    for rung in rungs:
        for ink, j in zip(inks, shown, strict=True):
            _rung(ax, rung, curves[f"{rung}_x"], measured[rung][..., j], ink)
    stack = np.concatenate([v[..., shown].ravel() for v in measured.values()])
    if picture.get("log") and (stack > 0).any() and stack.max() > DECADE * max(stack.min(), 0.0):
        ax.set_yscale("log")
    elif np.ptp(stack) < 1e-9 * max(1.0, float(np.abs(stack).max())) and "claimed" not in curves:
        _flat(ax, float(stack.mean()))
    ax.set_xlabel(picture["xlabel"])
    count = f" ({len(shown)} of {m} curves)" if len(shown) < m else ""
    ax.set_ylabel(picture["ylabel"] + count)
    if fails:
        ax.set_title("at the counterexample", color="#a33d00")
    _legend(ax, rungs, "claimed" in curves, fails, m)


def _flat(ax: Axes, level: float) -> None:
    """A constant up to rounding gets a frame of its own size, not one that blows rounding up to full height."""
    half = max(abs(level), 1.0) * 0.1
    ax.set_ylim(level - half, level + half)


def _claimed(ax: Axes, x: NDArray[Any], y: NDArray[Any], shown: NDArray[Any], inks: Any, fails: bool) -> None:
    for ink, j in zip(inks, shown, strict=True):
        if len(x) == 1:  # one instant: a bar, since a line through one point cannot be seen
            ax.plot(x, y[:, j], "_", color=ink, markersize=22, markeredgewidth=3, alpha=0.45)
        elif fails:
            ax.plot(x, y[:, j], color=ink, linestyle=(0, (4, 2)), linewidth=1.6)
        else:
            ax.plot(x, y[:, j], color=ink, linewidth=4.5, alpha=0.3, solid_capstyle="butt")


def _rung(ax: Axes, rung: str, x: NDArray[Any], y: NDArray[Any], ink: Any) -> None:
    if rung in LINES and len(x) > 1:
        ax.plot(x, y[0], color=ink, linewidth=1.1 if rung == "flow" else 1.5)
    else:
        style.band(ax, x, y, ink, *MARKERS.get(rung, OTHER))


def _legend(ax: Axes, rungs: list[str], claimed: bool, fails: bool, m: int) -> None:
    grey, handles = "#333333", []
    if claimed and fails:
        handles.append(Line2D([], [], color=grey, linestyle=(0, (4, 2)), label="claimed, fails here"))
    elif claimed:
        handles.append(Line2D([], [], color=grey, linewidth=4.5, alpha=0.3, label="claimed"))
    lines = [NAMES[r] for r in rungs if r in LINES]
    if lines:
        handles.append(Line2D([], [], color=grey, linewidth=1.2, label=" and ".join(lines)))
    for rung in (r for r in rungs if r not in LINES):
        marker, size = MARKERS.get(rung, OTHER)
        handles.append(
            Line2D(
                [],
                [],
                color=grey,
                marker=marker,
                markersize=size,
                markerfacecolor="white",
                linestyle="none",
                label=NAMES.get(rung, rung),
            )
        )
    if m > 1:
        handles.append(Line2D([], [], linestyle="none", label="colours: components"))
    ax.figure.legend(handles=handles, loc="outside upper left", ncols=2, columnspacing=1.0)
