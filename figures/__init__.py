"""Figures and report, drawn from the records in results/ and from nothing else; nothing here computes a theory.

A special picture is a module with CAPTION and draw(arrays) -> Figure, and one line in FAMILIES.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from figures import decay, deep, diagram, invariance, phase, rates, style, training
from figures.claim import draw_claim
from figures.read import UnreadableRecord, read_arrays, read_json

FAMILIES = {
    "phase-portrait": ("Phase portrait of a mode", phase),
    "phase-diagram": ("Where a mode collapses, and how fast", diagram),
    "weight-decay": ("Fixed points and collapse against weight decay", decay),
    "rates": ("Weight decay and target rate: the alignment criterion over time", rates),
    "invariance": ("Singular values under the invariance loss", invariance),
    "deep-modes": ("Deep networks beside the linear prediction", deep),
}

__all__ = ["FAMILIES", "UnreadableRecord", "draw_claim", "draw_diagram", "draw_picture", "draw_training"]


def draw_picture(results: Path, name: str) -> Path:
    """results/pictures/<name>.png (and .svg) from its arrays. Raises UnreadableRecord; ValueError: unknown name."""
    if name not in FAMILIES:
        raise ValueError(f"no picture is called {name!r}: choose one of {', '.join(FAMILIES)}")
    return _draw(results / "pictures" / name, FAMILIES[name][1], "run `noncollapse draw`")


def draw_diagram(results: Path, name: str) -> Path:
    """results/phase/<name>.png (and .svg) from its arrays. Raises UnreadableRecord."""
    return _draw(results / "phase" / name, diagram, "run `noncollapse phase`")


def draw_training(folder: Path) -> Path:
    """folder/record.png (and .svg) from a training record's arrays. Raises UnreadableRecord."""
    return _draw(folder / "record", training, "run `noncollapse train` again", title=folder.name)


def _draw(base: Path, family: ModuleType, remedy: str, title: str | None = None) -> Path:
    arrays = read_arrays(base.with_name(base.name + ".npz"), remedy)
    about = read_json(base.with_name(base.name + ".json"), remedy)
    with style.house():
        try:
            figure = family.draw(arrays)
        except KeyError as error:
            raise UnreadableRecord(f"{base}.npz has no array {error}: delete it, then {remedy}") from None
        return style.finish(figure, base, f"{title or base.name} · {style.stamp(about.get('provenance', {}))}")
