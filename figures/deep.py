"""Deep networks: p_j and s_j against the parabola, and alignment over time beside the linear prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.read import Arrays

CAPTION = (
    "Real networks on real images. Left: eigenvalues s of the correlation F against p of the predictor, every mode of "
    "every seed (s within five decades of the largest) at the start and at the end, with the invariant parabola of the "
    "linear theory and where the linear flow would end. Middle: p of the leading modes over time. Right: misalignment "
    "of P and F (normalised commutator; 0 is aligned). Points: network, mean and 4 standard errors over seeds. Dashed: "
    "linear prediction, integrated from the network's own p, s and cosines at the start with isotropic moments. The "
    "network is measured beside the theory, which does not speak of it."
)
MODES = 3  # leading modes shown over time
SMALLEST = 1e-5  # modes whose s is a smaller share of the largest lie below the first panel


def draw(arrays: Arrays) -> Figure:
    runs = [str(name) for name in arrays["runs"]]
    figure, axes = style.panels(len(runs), 3, width=style.PAGE, height=0.7 + 2.1 * len(runs))
    for i, (row, name) in enumerate(zip(axes, runs, strict=True)):
        _modes(row[0], arrays, i)
        _over_time(row[1], arrays, i)
        _alignment(row[2], arrays, i)
        row[0].set_title(f"{name} (n = {len(arrays[f'p{i}'])} seeds)")
    handles = [
        Line2D([], [], color="k", linestyle=(0, (1, 1.5)), label=r"parabola $s=p^2/\alpha_p$"),
        Line2D([], [], color=style.MUTED, marker="x", linestyle="none", label="network, start"),
        Line2D([], [], color=style.MEASURED, marker="o", linestyle="none", label="network, end"),
        Line2D([], [], color=style.THEORY, marker="+", linestyle="none", label="linear prediction, end"),
        Line2D(
            [], [], color=style.GREY, marker="o", markerfacecolor="white", linestyle="none", label="network, mean ± 4 SE"
        ),
        Line2D([], [], color=style.GREY, linestyle=(0, (4, 2)), label="linear prediction, mean"),
        *(Line2D([], [], color=style.PALETTE[j], marker=style.MARKERS[j], markerfacecolor="white",
                 linestyle=(0, (4, 2)), label=f"middle: mode {j + 1}") for j in range(MODES)),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _modes(ax: Axes, arrays: Arrays, i: int) -> None:
    p, s = arrays[f"p{i}"], arrays[f"s{i}"]
    reach = 1.05 * float(np.abs(p).max())
    line = np.linspace(-reach, reach, 201)
    ax.plot(line, line**2 / float(arrays[f"alpha_p{i}"]), color="black", linestyle=(0, (1, 1.5)))
    last: dict[str, Any] = {"linestyle": "none", "markersize": 3.5}
    ax.plot(p[:, 0].ravel(), s[:, 0].ravel(), "x", color=style.MUTED, **last)
    ax.plot(p[:, -1].ravel(), s[:, -1].ravel(), "o", color=style.MEASURED, alpha=0.8, **last)
    end_p, end_s = arrays[f"linear_p{i}"][:, -1].ravel(), arrays[f"linear_s{i}"][:, -1].ravel()
    ax.plot(end_p, end_s, "+", color=style.THEORY, linestyle="none", markersize=6, zorder=4)
    top = max(float(s[:, [0, -1]].max()), float(end_s.max()))
    ax.set(xlabel="p of the predictor", ylabel="s of the correlation", yscale="log")
    ax.set_ylim(top * SMALLEST, 3 * top)


def _over_time(ax: Axes, arrays: Arrays, i: int) -> None:
    t = arrays[f"t{i}"]
    for j, ink in zip(range(min(MODES, arrays[f"p{i}"].shape[-1])), style.PALETTE, strict=False):
        style.band(ax, t, arrays[f"p{i}"][..., j], ink, style.MARKERS[j])
        ax.plot(t, arrays[f"linear_p{i}"][..., j].mean(0), color=ink, linestyle=(0, (4, 2)))
    ax.set(xlabel="flow time t", ylabel=f"p of the {MODES} leading modes")


def _alignment(ax: Axes, arrays: Arrays, i: int) -> None:
    t = arrays[f"t{i}"]
    style.band(ax, t, arrays[f"alignment{i}"], style.MEASURED)
    ax.plot(t, arrays[f"linear_alignment{i}"].mean(0), color=style.THEORY, linestyle=(0, (4, 2)))
    ax.set(xlabel="flow time t", ylabel="misalignment of P and F")
    ax.set_ylim(bottom=0)
