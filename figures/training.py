"""A training run over its steps: loss, spectrum of the embedding covariance, effective rank, probe accuracy."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from figures import style
from figures.read import Arrays

CAPTION = (
    "Training over optimiser steps. Loss: mean over the steps since the last point. Spectrum: eigenvalues of the centred "
    "covariance of the embedding, some by rank. Effective rank: exp of the entropy of that spectrum; directions: the "
    "same of the uncentred second moment of normalised embeddings, 1 where all point one way. Accuracy: linear and k-NN "
    "probe on held-out images; dashed: the same probes on raw pixels; dotted: the commonest class. Points: measurement, "
    "over several seeds their mean with 4 standard errors."
)
RANKS = (1, 2, 3, 5, 10, 20, 40, 80, 160)  # eigenvalues shown, counted from the largest
DECADES = 8  # eigenvalues further below the largest are rounding
ROW = 1.7  # inches a run


def draw(arrays: Arrays) -> Figure:
    """One row a run. arrays: those of one record (t, loss, spectrum, …), or of several, runs (n,) names and t:<i>, loss:<i>, …

    The first row explains lines and markers for all.
    """
    names = [str(name) for name in arrays["runs"]] if "runs" in arrays else [""]
    figure, axes = style.panels(len(names), 4, width=1.3 * style.PAGE, height=0.6 + ROW * len(names))
    for i, (row, name) in enumerate(zip(axes, names, strict=True)):
        run = arrays if "runs" not in arrays else _part(arrays, i)
        _loss(row[0], run)
        row[0].set_title(name)
        _spectrum(row[1], run)
        _ranks(row[2], run, explained=i == 0)
        _accuracy(row[3], run, explained=i == 0)
        for ax in row:
            ax.set_xlabel("step" if i == len(names) - 1 else "")
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    return figure


def _part(arrays: Arrays, i: int) -> Arrays:
    """The arrays of run i, under their bare names: a name ends in its run's number."""
    return {name.removesuffix(f":{i}"): value for name, value in arrays.items() if name.endswith(f":{i}")}


def _over(ax: Axes, run: Arrays, values: np.ndarray, colour: object, marker: str = "o") -> None:
    style.band(ax, run["t"], values, colour, marker)
    ax.plot(run["t"], values.mean(0), color=colour, linewidth=0.7, alpha=0.6)  # pyright: ignore[reportArgumentType]


def _loss(ax: Axes, run: Arrays) -> None:
    _over(ax, run, run["loss"], style.MEASURED)
    ax.set_ylabel("loss")


def _spectrum(ax: Axes, run: Arrays) -> None:
    lam = run["spectrum"]
    shown = [rank for rank in RANKS if rank <= lam.shape[-1]]
    for rank, colour, marker in zip(shown, style.colours(len(shown)), 2 * style.MARKERS, strict=False):
        values = lam[..., rank - 1]
        _over(ax, run, np.where(values > 0, values, np.nan), colour, marker)
    handles = [Line2D([], [], color=c, label=str(r)) for r, c in zip(shown, style.colours(len(shown)), strict=True)]
    ax.legend(handles=handles, title="rank", title_fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    top = float(lam.max())
    ax.set(ylabel="eigenvalue", yscale="log")
    if top > 0:
        ax.set_ylim(max(top * 10.0**-DECADES, float(lam[lam > 0].min()) / 3), 3 * top)


def _ranks(ax: Axes, run: Arrays, explained: bool) -> None:
    _over(ax, run, run["erank"], style.PALETTE[0])
    _over(ax, run, run["directions"], style.PALETTE[2], "s")
    ax.set(ylabel="dimensions in use", yscale="log")
    ax.set_ylim(bottom=0.9)
    if explained:
        ax.legend(handles=_key({"effective rank": (style.PALETTE[0], "o"), "directions": (style.PALETTE[2], "s")}))


def _accuracy(ax: Axes, run: Arrays, explained: bool) -> None:
    ax.set_ylabel("probe accuracy")
    if "linear" not in run:
        ax.text(0.5, 0.5, "no labels", ha="center", va="center", transform=ax.transAxes, color=style.MUTED)
        return
    look = {"linear": (style.PALETTE[0], "o"), "knn": (style.PALETTE[1], "s")}
    for name, (colour, marker) in look.items():
        _over(ax, run, run[name], colour, marker)
        ax.axhline(float(np.mean(run[f"pixels_{name}"])), color=colour, linestyle=(0, (4, 2)), linewidth=0.9)
    ax.axhline(float(np.mean(run["chance"])), color=style.MUTED, linestyle=(0, (1, 1.5)))
    ax.set_ylim(0, 1)
    if not explained:
        return
    rules = [
        Line2D([], [], color=style.MUTED, linestyle=(0, (4, 2)), linewidth=0.9, label="on raw pixels"),
        Line2D([], [], color=style.MUTED, linestyle=(0, (1, 1.5)), label="commonest class"),
    ]
    handles = [*_key({"linear": look["linear"], "k-NN": look["knn"]}), *rules]
    ax.legend(handles=handles)


def _key(names: dict[str, tuple[str, str]]) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, markerfacecolor="white", linewidth=0.7, label=name)
        for name, (colour, marker) in names.items()
    ]
