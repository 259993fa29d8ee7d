"""House style: legible at column width, safe for colour-blind readers, the same bytes from the same record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.files import whole

COLUMN, PAGE = 3.4, 6.8  # inches: one and two columns of a journal page
STANDARD_ERRORS = 4.0  # half-width of every band, the same as the sgd rung's law

# Okabe & Ito 2008, in the order of their luminance contrast on white; yellow is left out, too pale for a line
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
THEORY, MEASURED, MUTED = "#0072B2", "#D55E00", "#7a7a7a"
GREY = "#333333"  # of what belongs to no curve: lines for all of them, and entries of a legend
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

RC: Any = {
    "font.family": "DejaVu Sans", "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7,
    "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.7, "lines.linewidth": 1.4, "lines.markersize": 3.5, "axes.titlelocation": "left",
    "legend.frameon": False, "legend.handlelength": 1.8, "figure.dpi": 100, "savefig.dpi": 200, "text.usetex": False,
    "mathtext.fontset": "dejavusans", "axes.unicode_minus": True, "svg.hashsalt": "noncollapse", "svg.fonttype": "path",
    "figure.facecolor": "white", "axes.facecolor": "white", "axes.formatter.useoffset": False,
}  # fmt: skip


@contextmanager
def house() -> Iterator[None]:
    """Everything drawn inside has the house style; the reader's own matplotlib settings stay untouched."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.use("Agg")
        mpl.rcParams.update(RC)
        yield


def panels(rows: int = 1, columns: int = 1, width: float = COLUMN, height: float = 2.5, **kwargs: Any) -> Any:
    """(figure, axes array (rows, columns)), laid out so that nothing overlaps and a footer fits below."""
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained", **kwargs)
    return figure, axes


def colours(count: int) -> Sequence[Any]:
    """`count` distinguishable colours: the palette, or beyond it a perceptually uniform ramp by index."""
    if count <= len(PALETTE):
        return PALETTE[:count]
    return [mpl.colormaps["viridis"](x) for x in np.linspace(0.0, 0.85, count)]


def band(
    ax: Axes, x: NDArray[Any], replicas: NDArray[Any], colour: Any, marker: str = "o", size: float = 3.5,
    every: tuple[int, int] = (0, 1),
) -> None:  # fmt: skip
    """Points at the mean over replicas (R, T), and for R > 1 a band of ±4 standard errors. every: the first point that
    has a marker, and the step to the next."""
    mean = replicas.mean(0)
    if len(replicas) > 1:
        half = STANDARD_ERRORS * replicas.std(0, ddof=1) / np.sqrt(len(replicas))
        ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)
    look: Any = {"markerfacecolor": "white", "markeredgewidth": 0.9, "markersize": size, "linestyle": "none"}
    ax.plot(x, mean, marker, color=colour, markevery=every, **look)


def stamp(provenance: Mapping[str, Any]) -> str:
    """The footer: which sources and which budget made the record behind the figure."""
    parts = [
        f"sources {str(provenance.get('sources', 'unknown'))[:8]}",
        f"budget {provenance.get('budget', 'unknown')}",
    ]
    if "seed" in provenance:
        parts.append(f"seed {provenance['seed']}")
    return " · ".join(parts)


def finish(figure: Figure, path: Path, footer: str) -> Path:
    """Write path.png and path.svg with the footer, each whole or not at all; returns the PNG. Byte-identical for identical
    input."""
    figure.supxlabel(footer, fontsize=5.5, color="#5a5a5a", x=0.995, ha="right")
    png, svg = path.with_name(path.name + ".png"), path.with_name(path.name + ".svg")
    with whole(png) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
    figure.set_layout_engine("none")  # laid out once: the second file repeats the first
    with whole(svg) as part:
        figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return png
