"""The drawn pictures of a results folder as the report shows them: embedded, and with letters of one size."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from figures import FAMILIES, diagram, style, training
from figures.read import UnreadableRecord, read_json

IMAGE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
PNG_END = b"IEND\xaeB`\x82"  # its last chunk
REM_AN_INCH = 8.0  # on the page: letters of 8 points are then 0.89 rem, as large as the page's tables


class Image(NamedTuple):
    uri: str
    width: float  # rem


def image(base: Path) -> Image | None:
    """base.svg or base.png, whichever is smaller, at the width of the figure in inches; None where it was not drawn, or its
    PNG is torn."""
    drawn = [path for path in (base.with_name(base.name + suffix) for suffix in IMAGE_TYPES) if path.is_file()]
    png = base.with_name(base.name + ".png")
    if png not in drawn or not (content := png.read_bytes()).endswith(PNG_END):
        return None
    (pixels,) = struct.unpack(">I", content[16:20])  # the width opens a PNG's header
    path = min(drawn, key=lambda p: p.stat().st_size)
    uri = f"data:{IMAGE_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return Image(uri, round(REM_AN_INCH * pixels / style.RC["savefig.dpi"], 2))


def sections(results: Path) -> list[dict[str, Any]]:
    """The pictures beside the claims', by kind, without the kinds of which there are none: id, title, caption and figures
    (id, title, alt, caption, image, provenance)."""
    kinds = (
        ("picture", "Pictures", "", _special(results)),
        ("phase", "Phase diagrams", diagram.CAPTION, _diagrams(results)),
        ("train", "Training runs", training.CAPTION, _trainings(results)),
    )
    made = [{"id": i, "title": title, "caption": words, "figures": list(them)} for i, title, words, them in kinds]
    return [section for section in made if section["figures"]]


def _special(results: Path) -> Iterator[dict[str, Any]]:
    for name, (title, module) in FAMILIES.items():
        about = _about(results / "pictures" / name, "run `noncollapse draw`")
        if about:
            yield about | {"title": title, "alt": f"{title}. {module.CAPTION}", "caption": module.CAPTION}


def _diagrams(results: Path) -> Iterator[dict[str, Any]]:
    for png in sorted((results / "phase").glob("*.png")):
        about = _about(png.with_suffix(""), "run `noncollapse phase`")
        if about:
            counts = about["record"].get("counts", {})
            said = ", ".join(f"{n} {end}" for end, n in counts.items() if n)
            yield about | {"alt": f"Phase diagram {about['title']}: pixels by their end: {said}.", "caption": ""}


def _trainings(results: Path) -> Iterator[dict[str, Any]]:
    for png in sorted((results / "train").glob("*/record.png")):
        about = _about(png.with_suffix(""), "run `noncollapse train` again")
        if about:
            name = png.parent.name
            alt = f"Training run {name}: loss, spectrum, dimensions in use and probe accuracy over steps."
            yield about | {"name": name, "title": name, "alt": alt, "caption": ""}


def _about(base: Path, remedy: str) -> dict[str, Any] | None:
    """The image of a drawn picture with its record; a record that cannot be read is said in its provenance."""
    shown = image(base)
    if shown is None:
        return None
    try:
        record = read_json(base.with_name(base.name + ".json"), remedy)
    except UnreadableRecord as error:
        record = {"provenance": {"note": str(error)}}
    made = {"name": base.name, "title": base.name, "image": shown, "record": record}
    return made | {"provenance": record.get("provenance", {})}
