"""Fixed points and collapse against weight decay, with where gradient descent ended."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures import style
from figures.read import Arrays

CAPTION = (
    "Fixed points of one mode on the parabola against weight decay (lines), and where gradient descent of a linear "
    "network ended (points: every mode of every run, dots where the run started at a large weight, rings where at a "
    "small one). The lower branch separates the two basins; at the threshold the branches meet, and beyond it "
    "only collapse is left."
)


def draw(arrays: Arrays) -> Figure:
    figure, axes = style.panels(1, 2, width=style.PAGE, height=2.8)
    _panel(axes[0, 0], arrays, arrays["p_plus"], arrays["p_minus"], arrays["end_p"])
    _panel(axes[0, 1], arrays, arrays["p_plus"] ** 2, arrays["p_minus"] ** 2, arrays["end_s"])
    axes[0, 0].set_ylabel("eigenvalue p of the predictor")
    axes[0, 1].set_ylabel("eigenvalue s of the correlation")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _panel(
    ax: Axes, arrays: Arrays, upper: NDArray[np.float64], lower: NDArray[np.float64], end: NDArray[np.float64]
) -> None:
    eta, eta_c, a = arrays["eta"], float(arrays["eta_c"]), float(arrays["a"])
    ax.plot(eta, upper, color=style.THEORY, label="attracting fixed point")
    ax.plot(eta, lower, color=style.THEORY, linestyle=(0, (4, 2)), label="saddle")
    ax.plot(eta, 0 * eta, color="black", label="collapse")
    ax.axvline(
        eta_c, color=style.MUTED, linestyle=(0, (1, 1.5)), label=rf"threshold $\eta_c=1/4(1+\sigma^2)={eta_c:g}$"
    )
    at = np.broadcast_to(arrays["measured_eta"][:, None], end.shape)
    large = arrays["start_p"] > 1 / (2 * a)  # above the fold, where the branches meet
    looks = ((large, style.MEASURED, 3.0, "descent, large start"), (~large, "none", 7.0, "descent, small start"))
    for mask, face, size, label in looks:  # a ring far wider than the dot: where both starts end, both are seen
        look: dict[str, Any] = {"markerfacecolor": face, "markersize": size, "clip_on": False, "zorder": 4}
        ax.plot(at[mask], end[mask], "o", color=style.MEASURED, label=label, **look)
    ax.set(xlabel=r"weight decay $\eta$ (per unit flow time)", xlim=(0, eta[-1]))
