"""Phase diagram of one mode over two parameters: where it collapses, how fast, with the theory's lines on top."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from figures import style
from figures.read import Arrays

CAPTION = (
    "Phase diagram of one mode. Every pixel is a trajectory with its own error control, followed until it is inside a "
    "set that provably belongs to one basin; the colour is the time from which on it has collapsed (weight below a "
    "thousandth of c/a). Lines are the closed forms: the threshold of weight decay and the fixed points. Just beyond the "
    "threshold collapse takes ever longer, like the inverse root of the distance: a label read at a finite time is wrong "
    "there."
)
TEXT = {
    "eta": r"weight decay $\eta$", "a": r"eigenvalue $a$ of $A$", "c": r"eigenvalue $c$ of $C$", "alpha_p": r"$\alpha_p$",
    "beta": r"EMA rate $\beta$", "p0": r"predictor's start $p_0$", "w0": r"weight's start $w_0$", "tau0": r"target's start $\tau_0$",
}  # fmt: skip
SYMBOL = {"eta": r"\eta", "alpha_p": r"\alpha_p", "beta": r"\beta", "p0": "p_0", "w0": "w_0", "tau0": r"\tau_0"}
SURVIVAL, UNDECIDED = "#ececec", "#000000"
LINES = ((r"$\eta_c", "#D55E00", "-"), ("$p_-$", "#0072B2", "--"), ("$p_+$", "#000000", ":"), ("stable", "#D55E00", "-"),
         ("parabola", "#CC79A7", "-."))  # fmt: skip  # how a label begins, colour, dash


def draw(arrays: Arrays) -> Figure:
    figure, axes = style.panels(width=style.PAGE * 0.72, height=3.6)
    ax: Axes = axes[0, 0]
    x, y, end, time = (arrays[key] for key in ("x", "y", "end", "time"))
    shown = np.where(end == 0, time, np.nan)
    shown = np.where(shown > 0, shown, np.nan)  # collapsed from the start: coloured like the fastest below
    ax.set_facecolor(SURVIVAL)
    if np.isfinite(shown).any():
        low, high = np.nanquantile(shown, (0.002, 0.998))  # a few pixels at the edges would eat most of the colours
        norm = LogNorm(low, max(high, 1.01 * low))
        filled = np.where((end == 0) & np.isnan(shown), low, shown)
        mesh = ax.pcolormesh(x, y, filled, norm=norm, cmap="viridis", shading="nearest", rasterized=True)
        figure.colorbar(mesh, ax=ax, label="time to collapse $t$", extend="both")
    if (end == 2).any():
        ax.pcolormesh(
            x, y, np.where(end == 2, 1.0, np.nan), cmap="gray", vmin=1, vmax=2, shading="nearest", rasterized=True
        )
    for i, label in enumerate(arrays["labels"]):
        if not _in_view(arrays[f"line{i}"], x, y):
            continue
        colour, dash = next((c, d) for start, c, d in LINES if str(label).startswith(start))
        ax.plot(*arrays[f"line{i}"].T, color="white", linewidth=2.8, zorder=3)
        ax.plot(*arrays[f"line{i}"].T, color=colour, linestyle=dash, linewidth=1.5, label=str(label), zorder=4)
    log = arrays["log"]
    ax.set(
        xlim=(x[0], x[-1]),
        ylim=(y[0], y[-1]),
        xscale="log" if log[0] else "linear",
        yscale="log" if log[1] else "linear",
    )
    ax.set(xlabel=TEXT[str(arrays["x_name"])], ylabel=TEXT[str(arrays["y_name"])])
    handles, _ = ax.get_legend_handles_labels()
    handles += [
        Patch(facecolor=SURVIVAL, edgecolor="#9a9a9a", label=r"ends at $p_+$" if (end == 1).any() else "no survivor")
    ]
    if (end == 2).any():
        handles.append(Patch(facecolor=UNDECIDED, label="undecided"))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))
    fixed = zip(arrays["fixed_names"], arrays["fixed_values"], strict=True)
    said = ", ".join(
        f"${SYMBOL.get(str(n), str(n))}={v:g}$" for n, v in fixed if not (str(arrays["start"]) and str(n) == "w0")
    )
    ax.set_title("; ".join(part for part in (str(arrays["target"]), said, str(arrays["start"])) if part), fontsize=7)
    return figure


def _in_view(line: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """Whether any point of the line (n, 2) lies within the axes: another line would only puzzle the legend's reader."""
    return bool(((line >= (x[0], y[0])) & (line <= (x[-1], y[-1]))).all(axis=-1).any())
