"""The picture of a claim that has no curve to show: every reading and every control as residual over tolerance."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from figures import style
from figures.read import UnreadableRecord, verify_remedy

FLOOR = 1e-9  # residuals this far below their tolerance are drawn here: an exact 0 has no place on a log axis
LONGEST = 26  # characters of a line of a row's name that leave the plot its width
SHORTER = {
    "noise in place of the Run": "noise",
    "wrong theory: ": "wrong: ",
    "the corrected claim ": "corrected: ",
    "a Setting outside its domain where it holds": "outside its domain",
}


def draw_evidence(record: Mapping[str, Any], out: Path) -> Path:
    """out.png and .svg: a row for each reading (where the claim must hold: left of 1) and each control (where it must
    fail: right of 1). Raises UnreadableRecord where the record holds neither."""
    rows = _rows(record)
    if not rows:
        raise UnreadableRecord(f"{record['claim']} has no evidence in its record: {verify_remedy(record['claim'])}")
    names = [_wrapped(name) for name, _, _ in rows]
    heights = np.array([1.0 + 0.7 * name.count("\n") for name in names])
    places = np.cumsum(heights) - heights / 2
    with style.house():
        figure, axes = style.panels(height=1.25 + 0.2 * float(heights.sum()))
        ax = axes[0, 0]
        for y, (_, ratio, kind) in zip(places, rows, strict=True):
            marker, colour = KINDS[kind][:2]
            ax.plot(max(ratio, FLOOR), y, marker, color=colour, markerfacecolor="white", markersize=5)
        ax.axvline(1.0, color=style.GREY, linewidth=1.0)
        ax.set_xscale("log")
        ax.set_xlim(FLOOR / 4, 10 * max(10.0, *(ratio for _, ratio, _ in rows)))
        ax.set_ylim(float(heights.sum()), 0.0)
        ax.set_yticks(places, names)
        ax.set_xlabel("residual / tolerance")
        for side, text in (("right", "holds  "), ("left", "  fails")):
            ax.text(1.0, 1.0, text, ha=side, va="bottom", transform=ax.get_xaxis_transform(), fontsize=7)
        _legend(figure, {kind for _, _, kind in rows})
        return style.finish(figure, out, f"{record['claim']} · {style.stamp(record['provenance'])}")


KINDS = {  # marker, colour, what it is
    "holds": ("o", style.THEORY, "reading, claim holds"),
    "fails": ("X", style.MEASURED, "reading, claim fails"),
    "control": ("s", style.MUTED, "control, as it should"),
    "broken": ("P", "#000000", "control, not as it should"),
}


def _rows(record: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """(name, residual / tolerance, kind) of each reading and control."""
    try:
        readings = [
            (f"{e['rung']}, as {e['under']}", e["residual"] / e["tolerance"], "holds" if e["ok"] else "fails")
            for e in record.get("evidence", [])
        ]
        controls = [
            (c["name"], c["residual"] / c["tolerance"], "control" if c["as_it_should"] else "broken")
            for c in record.get("controls", [])
        ]
    except (KeyError, TypeError, ZeroDivisionError):
        raise UnreadableRecord(
            f"the evidence of {record['claim']} is damaged: {verify_remedy(record['claim'])}"
        ) from None
    rows: Sequence[tuple[str, float, str]] = [*readings, *controls]
    if not np.isfinite([ratio for _, ratio, _ in rows]).all():
        raise UnreadableRecord(f"the evidence of {record['claim']} is not finite: {verify_remedy(record['claim'])}")
    return list(rows)


def _wrapped(name: str) -> str:
    """A row's name, nothing of it cut, in lines that leave the plot its width."""
    for long, short in SHORTER.items():
        name = name.replace(long, short)
    return "\n".join(textwrap.wrap(name, LONGEST))


def _legend(figure: Any, kinds: set[str]) -> None:
    handles = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=5, markerfacecolor="white", linestyle="none", label=label
        )
        for kind, (marker, colour, label) in KINDS.items()
        if kind in kinds
    ]
    handles.append(Line2D([], [], color=style.GREY, linewidth=1.0, label="tolerance"))
    figure.legend(handles=handles, loc="outside upper left", ncols=2, columnspacing=1.0)
