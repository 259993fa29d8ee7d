"""One picture a benchmark: what each method costs, on a logarithmic axis, a panel a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS
from figures import style


def bars(name: str, rows: Sequence[Mapping[str, Any]], key: str, label: str, kind: str = "problem") -> Path:
    """benchmarks/results/<name>.png and .svg: rows[key], grouped by rows[kind]; rows without the key are left out."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if key in row:
            groups.setdefault(str(row[kind]), []).append(row)
    heights = [len(group) for group in groups.values()]
    with style.house():
        figure, axes = style.panels(len(groups), 1, width=style.PAGE, height=0.9 + 0.17 * sum(heights), sharex=True,
                                    gridspec_kw={"height_ratios": heights})  # fmt: skip
        for ax, (title, group) in zip(axes[:, 0], groups.items(), strict=True):
            group = sorted(group, key=lambda row: -row[key])
            names = [f"{row['method']}  ({row['members']:,})" if "members" in row else row["method"] for row in group]
            own = [row["method"] == "noncollapse" for row in group]
            ax.barh(
                range(len(group)),
                [row[key] for row in group],
                color=[style.MEASURED if o else style.MUTED for o in own],
            )
            for i, row in enumerate(group):
                ax.text(
                    row[key] * 1.1,
                    i,
                    f"{row[key]:,.0f}" if row[key] >= 100 else f"{row[key]:.3g}",
                    va="center",
                    fontsize=6.5,
                )
            ax.set(xscale="log", yticks=range(len(group)), yticklabels=names, title=title)
            ax.margins(x=0.15)
        axes[-1, 0].set_xlabel(label)
        return style.finish(figure, RESULTS / name, f"{name} · members in brackets")
