"""The report's pictures beside the claims', and its summary of proofs and deep networks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

import figures
from derivations.assumption import Assumption
from derivations.claim import Claim, Transfer
from figures import style
from figures.gallery import REM_AN_INCH, image, sections
from figures.report import write_report
from noncollapse import diagram

NEED = Assumption("noise everywhere", "S is positive definite")
CLAIMS = tuple(
    Claim(name, "1", name, "x", "a paper", needs=needs, transfer=Transfer((), "it stays", lambda runs: np.ones(2)))
    for name, needs in (("bare", ()), ("needy", (NEED,)))
)


def write(results: Path, outcomes: tuple[str, str]) -> str:
    """The report on two proved claims whose deep networks did this."""
    for claim, outcome in zip(CLAIMS, outcomes, strict=True):
        made = {
            "claim": claim.id, "verdict": "conditional" if claim.needs else "verified", "proved": True,
            "provenance": {}, "proof": [{"says": "x", "proved": True, "mutation_rejected": True, "note": ""}],
            "transfer": {"says": "it stays", "deep": ["net"], "mean": 1.0, "se": 0.1, "n": 5, "outcome": outcome},
        }  # fmt: skip
        (results / claim.id).mkdir(exist_ok=True)
        (results / claim.id / "record.json").write_text(json.dumps(made))
    return write_report(results, CLAIMS, {}, results / "report.html").read_text()


def test_a_proof_under_needs_is_no_proof_of_the_statement(tmp_path: Path) -> None:
    text = write(tmp_path, ("follows", "follows"))
    rows = {name: re.search(rf'<tr><td><a href="#{name}">.*?</tr>', text, re.DOTALL) for name in ("bare", "needy")}
    said = {name: "proved with needs" in row.group() for name, row in rows.items() if row}
    assert said == {"bare": False, "needy": True}
    assert "2 of them proved in every step (1 under assumptions" in text


def test_one_network_follows_and_two_follow(tmp_path: Path) -> None:
    assert "Deep networks: 2 follow." in write(tmp_path, ("follows", "follows"))
    assert "Deep networks: 1 follows, 1 undecided." in write(tmp_path, ("follows", "undecided"))


def test_diagrams_and_training_runs_are_in_the_report(tmp_path: Path) -> None:
    assert not sections(tmp_path)
    diagram.save(tmp_path, "a b", diagram.Axis("eta", 0.0, 0.3), diagram.Axis("p0", 0.0, 1.0), {}, (6, 6), 1)
    figures.draw_diagram(tmp_path, "a b")
    rng = np.random.default_rng(0)
    run: dict[str, Any] = {name: 1 + rng.random((1, 3)) for name in ("loss", "erank", "directions")}
    place = tmp_path / "train" / "simsiam-1"
    place.mkdir(parents=True)
    np.savez(place / "record.npz", t=np.arange(3.0), spectrum=rng.random((1, 3, 5)), **run)
    (place / "record.json").write_text(json.dumps({"provenance": {"sources": "abc", "budget": "30 steps"}}))
    assert [part["id"] for part in sections(tmp_path)] == ["phase"], "a run that was not drawn has no picture"
    figures.draw_training(place)
    text = write(tmp_path, ("follows", "follows"))
    assert text.count("<img") == 2
    assert 'id="phase-a%20b"' in text and 'id="train-simsiam-1"' in text
    assert re.search(r'alt="Phase diagram a b: pixels by their end: \d+ collapse', text)
    (tmp_path / "phase" / "a b.json").write_text("{ not json")
    assert "is not readable JSON: delete it, then run `noncollapse phase`" in write(tmp_path, ("follows", "follows"))


def test_letters_have_one_size_whatever_the_picture(tmp_path: Path) -> None:
    for name, width in (("column", style.COLUMN), ("page", style.PAGE)):
        with style.house():
            figure, _ = style.panels(width=width)
            style.finish(figure, tmp_path / name, "")
        shown = image(tmp_path / name)
        assert shown is not None
        assert shown.width == round(REM_AN_INCH * width, 2)
    assert image(tmp_path / "none") is None
    whole = (tmp_path / "page.png").read_bytes()
    for torn in (b"", whole[:-4]):
        (tmp_path / "page.png").write_bytes(torn)
        assert image(tmp_path / "page") is None
