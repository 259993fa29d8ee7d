"""Pictures of a benchmark: what each method costs, on logarithmic axes, a panel a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import NullLocator

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
            own = [row["method"].startswith("noncollapse") for row in group]
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


def ratios(name: str, rows: Sequence[Mapping[str, Any]], aims: Mapping[str, float], label: str) -> Path:
    """benchmarks/results/<name>.png and .svg: rows["slower"], a line a problem, a colour a library, a marker each of its methods;
    aims: problem -> ratio, drawn as a tick."""
    rows = [row | {"method": row["method"].removesuffix(", looped")} for row in map(dict, rows) if "slower" in row]
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    libraries: dict[str, list[str]] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        libraries.setdefault(method.replace(",", "").split()[0], []).append(method)
    with style.house():
        figure, axes = style.panels(width=style.PAGE, height=1.4 + 0.19 * len(problems))
        ax = axes[0, 0]
        colours = [colour for colour in style.PALETTE if colour != style.MEASURED]
        for n, methods in enumerate(libraries.values()):
            colour = colours[n % len(colours)]
            for i, method in enumerate(methods):
                marker = style.MARKERS[i % len(style.MARKERS)]
                own = [row for row in rows if row["method"] == method]
                x, y = [row["slower"] for row in own], [problems.index(row["problem"]) for row in own]
                ax.plot(x, y, marker, color=colour, label=method, markerfacecolor="white", markeredgewidth=0.9)
        wanted = [(least, problems.index(problem)) for problem, least in aims.items() if problem in problems]
        ax.plot(*zip(*wanted, strict=True), "|", color=style.GREY, markersize=9, markeredgewidth=1.5, label="aim")
        ax.axvline(1.0, color=style.MEASURED, linewidth=1.0, label="noncollapse")
        ax.set(xscale="log", xlabel=label, yticks=range(len(problems)), yticklabels=problems)
        ax.invert_yaxis()
        ax.grid(axis="y", color="#e6e6e6", linewidth=0.5)
        ax.set_axisbelow(True)
        figure.legend(loc="outside upper center", ncols=3)
        return style.finish(figure, RESULTS / name, name)


def against_size(name: str, rows: Sequence[Mapping[str, Any]], N: int, d: int) -> Path:
    """benchmarks/results/<name>.png and .svg: seconds against N at this d and against d at this N, a line a method.

    rows: N, d, dtype, method, seconds with s_min and s_max, and bound_s, drawn as a line without points.
    """
    rows = [row for row in rows if "seconds" in row]
    types, methods = (list(dict.fromkeys(row[key] for row in rows)) for key in ("dtype", "method"))
    looks = dict(zip(methods, zip(style.colours(len(methods)), style.MARKERS, strict=False), strict=True))
    with style.house():
        figure, axes = style.panels(2, len(types), width=style.PAGE, height=4.6, sharey="row", sharex="row")
        for column, dtype in enumerate(types):
            for ax, along, fixed in ((axes[0, column], "N", {"d": d}), (axes[1, column], "d", {"N": N})):
                here = [r for r in rows if r["dtype"] == dtype and all(r[key] == x for key, x in fixed.items())]
                for method, (colour, marker) in looks.items():
                    own = sorted((r for r in here if r["method"] == method), key=lambda r: r[along])
                    x, y = ([r[key] for r in own] for key in (along, "seconds"))
                    spread = [[r["seconds"] - r["s_min"] for r in own], [r["s_max"] - r["seconds"] for r in own]]
                    ax.errorbar(x, y, spread, marker=marker, color=colour, label=method, capsize=2)
                bound = sorted({r[along]: r["bound_s"] for r in here}.items())  # as measured beside the last method
                ax.plot(*zip(*bound, strict=True), "--", color=style.MUTED, label="products + exponentials (bound)")
                (key, value), *_ = fixed.items()
                ax.set(xscale="log", yscale="log", title=f"{dtype}, {key} = {value}", xlabel=along)
                ax.set_xticks(sorted({r[along] for r in rows if r[key] == value}))
                ax.xaxis.set_major_formatter("{x:.0f}")
                ax.xaxis.set_minor_locator(NullLocator())
        for ax in axes[:, 0]:
            ax.set_ylabel("seconds, value and gradient")
        axes[0, 0].legend()
        return style.finish(figure, RESULTS / name, "median of repeats, bars from the fastest to the slowest")


def lines(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    x: str,
    y: str,
    labels: tuple[str, str],
    bound: str,
    columns: int = 2,
    on: str = "one core",
) -> Path:
    """benchmarks/results/<name>.png and .svg: rows[y] against rows[x], a line a method, a panel for each rows["panel"].

    rows[bound] of the method "noncollapse" is drawn as theory.
    """
    panels: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        panels.setdefault(str(row["panel"]), []).append(row)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    others = [m for m in methods if m != "noncollapse"]
    free = [c for c in style.PALETTE if c not in (style.THEORY, style.MEASURED)]
    looks = {m: (free[i % len(free)], style.MARKERS[1 + i % (len(style.MARKERS) - 1)]) for i, m in enumerate(others)}
    looks["noncollapse"] = (style.MEASURED, style.MARKERS[0])
    ticks = sorted({row[x] for row in rows})
    with style.house():
        height = -(-len(panels) // columns)
        figure, axes = style.panels(
            height, columns, width=style.PAGE, height=0.9 + 2.1 * height, sharex=True, sharey=True
        )
        for ax, (title, group) in zip(axes.flat, panels.items(), strict=False):
            for method in methods:
                line = sorted((row for row in group if row["method"] == method), key=lambda row: row[x])
                colour, marker = looks[method]
                own = method == "noncollapse"
                ax.plot([row[x] for row in line], [row[y] for row in line], marker, linestyle="-", color=colour,
                        label=method, linewidth=1.6 if own else 0.8, zorder=3 if own else 2)  # fmt: skip
                if own:
                    ax.plot([row[x] for row in line], [row[bound] for row in line], "_--", color=style.THEORY,
                            label="bound of the project", zorder=4)  # fmt: skip
            ax.set(xscale="log", yscale="log", title=title, xticks=ticks, xticklabels=[f"{t:g}" for t in ticks])
            ax.minorticks_off()
        for ax in axes[-1]:
            ax.set_xlabel(labels[0])
        for ax in axes[:, 0]:
            ax.set_ylabel(labels[1])
        handles = {label: h for ax in axes.flat for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4)
        return style.finish(figure, RESULTS / name, f"{name} · {on}")
