"""Singular values of W under the invariance loss: closed form, descent and SGD."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.read import Arrays

CAPTION = (
    "Singular values of the encoder under the invariance loss. One direction of the views carries no noise, so S "
    "is singular and one singular value survives; the others decay. Lines: closed form. Crosses: gradient descent. "
    "Circles with bands: SGD, mean and 4 standard errors over seeds. A gap between points and line on the fastest "
    "direction is the bias of a finite step."
)


def draw(arrays: Arrays) -> Figure:
    figure, axes = style.panels(width=style.COLUMN, height=2.8)
    ax = axes[0, 0]
    for j, ink in zip(range(arrays["exact"].shape[-1]), style.PALETTE, strict=False):
        ax.plot(arrays["exact_t"], arrays["exact"][:, j], color=ink)
        style.band(ax, arrays["t"], arrays["sgd"][..., j], ink, "o")
        ax.plot(arrays["t"], arrays["descent"][0, :, j], "x", color="black", markersize=3.5, markeredgewidth=0.8)
    ax.set(yscale="log", xlabel="flow time t", ylabel="singular values of W")
    handles = [
        Line2D([], [], color=style.GREY, label="closed form"),
        Line2D([], [], color=style.GREY, marker="x", linestyle="none", label="gradient descent"),
        Line2D([], [], color=style.GREY, marker="o", markerfacecolor="white", linestyle="none",
               label=f"SGD, mean ± 4 SE, n = {len(arrays['sgd'])}"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure
