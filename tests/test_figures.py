"""Figures of claims from made-up records: they draw, they compute nothing, and they say what they cannot read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from record_cases import ink, record, results, trace, write

import figures

__all__ = ["results"]  # the fixture


@pytest.mark.parametrize("name", ["held", "fallen", "instant"])
def test_a_claim_is_drawn_the_same_twice(results: Path, name: str) -> None:
    png = figures.draw_claim(results, name)
    first = png.read_bytes(), png.with_suffix(".svg").read_bytes()
    figures.draw_claim(results, name)
    assert (png.read_bytes(), png.with_suffix(".svg").read_bytes()) == first
    assert ink(png) > 0.01  # axes and text alone cover more than one pixel in a hundred at this size


def test_a_claim_without_curves_shows_its_evidence(tmp_path: Path) -> None:
    controls = [{"name": "noise", "residual": 2.0, "tolerance": 1e-7, "failed": True, "as_it_should": True}]
    made = record("held", "verified", picture=None, controls=controls)
    write(tmp_path, made, 1)
    plain = figures.draw_claim(tmp_path, "held").read_bytes()
    assert ink(tmp_path / "held" / "picture.png") > 0.01  # axes and text cover more than one pixel in a hundred
    controls[0]["as_it_should"] = False
    (tmp_path / "held" / "record.json").write_text(json.dumps(made))
    assert figures.draw_claim(tmp_path, "held").read_bytes() != plain, "a control that misbehaves is seen"
    for controls[0]["residual"], says in ((np.inf, "not finite"), (None, "damaged")):
        (tmp_path / "held" / "record.json").write_text(json.dumps(made))
        with pytest.raises(figures.UnreadableRecord, match=says):
            figures.draw_claim(tmp_path, "held")
    (tmp_path / "held" / "record.json").write_text(json.dumps(made | {"evidence": [], "controls": []}))
    with pytest.raises(figures.UnreadableRecord, match="no evidence"):
        figures.draw_claim(tmp_path, "held")


def test_drawing_loads_neither_networks_nor_theory(results: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import figures, figures.report\n"
        f"figures.draw_claim(Path({str(results)!r}), 'held')\n"
        "print([m for m in ('torch', 'scipy', 'sympy', 'dynamics.simulate', 'dynamics.solver') if m in sys.modules])"
    )
    root = Path(figures.__file__).parents[1]
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert out.stdout.strip() == "[]"


def test_records_that_cannot_be_drawn_say_why(results: Path) -> None:
    for name, sentence in (
        ("absent", "does not exist: run `noncollapse verify absent`"),
        ("broken", "not readable JSON"),
    ):
        with pytest.raises(figures.UnreadableRecord, match=sentence):
            figures.draw_claim(results, name)
    spoiled = trace(9)
    spoiled["flow_measured"][0, 3, 0] = np.nan
    np.savez(results / "held" / "trace.npz", **spoiled)
    with pytest.raises(figures.UnreadableRecord, match="not finite"):
        figures.draw_claim(results, "held")
    (results / "held" / "trace.npz").write_bytes(b"no zip")
    with pytest.raises(figures.UnreadableRecord, match="not a readable array file"):
        figures.draw_claim(results, "held")
    (results / "fallen" / "trace.npz").unlink()
    with pytest.raises(figures.UnreadableRecord, match=r"trace\.npz does not exist"):
        figures.draw_claim(results, "fallen")
    with pytest.raises(ValueError, match="choose one of phase-portrait"):
        figures.draw_picture(results, "nothing")
