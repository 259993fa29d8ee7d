"""Figures and report from made-up records: they draw, they compute nothing, and they say what they cannot read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import figures
from derivations.assumption import Assumption
from derivations.claim import Claim, Transfer
from dynamics.setting import Setting
from figures.formula import cut, mathml, prose
from figures.report import write_report
from noncollapse import deep_picture, pictures

PROVENANCE = {"budget": "quick", "seed": 0, "sources": "0123456789abcdef", "versions": {"numpy": "2"}, "seconds": 1.0,
              "machine": "any", "date": "2026-01-01", "command": "noncollapse verify held"}  # fmt: skip
BASE = Setting()


def claim(name: str, **kwargs: Any) -> Claim:
    formula = r"\dot W=-WS,\quad \|W(t)\|\le e^{-\lambda t}\ \text{for all } t"
    return Claim(name, "3.1", f"Title of {name}", formula, "a paper, (1)", base=BASE, **kwargs)


CLAIMS = (
    claim("held", states=(Assumption("linear", "the encoder is linear"),)),
    claim("fallen", corrected_by="held"),
    claim("instant"),
    claim("absent", transfer=Transfer((), "variance stays", lambda runs: np.ones(2))),
    claim("broken"),
)


def record(claim_id: str, result: str, **changes: Any) -> dict[str, Any]:
    c = next(c for c in CLAIMS if c.id == claim_id)
    return {
        "claim": claim_id, "section": "3.1", "title": c.title, "statement": c.statement, "source": c.source,
        "verdict": result, "proved": result == "verified", "scope": "every dimension", "corrected_by": c.corrected_by,
        "explains": "Because $S \\succeq 0$.", "untestable": "",
        "assumptions": {"stated": [{"name": "linear", "says": "the encoder is linear"}], "needed": []},
        "proof": [{"says": r"W\dot W^\top=0", "proved": True, "mutation_rejected": True, "note": ""}],
        "counterexample": None, "controls": [{"name": "noise", "residual": 2.0, "tolerance": 1e-7, "failed": True}],
        "evidence": [{"rung": "flow", "under": "stated", "settings": 40, "replicas": 1, "residual": 1e-9,
                      "tolerance": 1e-7, "ok": True, "law": "10^3 rtol", "setting": BASE.to_dict()}],
        "transfer": {"says": "it survives", "deep": ["net"], "mean": 1.0, "se": 0.1, "n": 5, "outcome": "follows"},
        "picture": {"xlabel": "flow time t", "ylabel": r"$\|W\|$", "log": True, "rungs": ["flow", "descent", "sgd"],
                    "setting": BASE.to_dict(), "counterexample": result == "refuted"},
        "provenance": PROVENANCE, **changes,
    }  # fmt: skip


def trace(points: int) -> dict[str, Any]:
    t = np.linspace(0.0, 4.0, points)
    curve = np.exp(-t[:, None] * np.array([1.0, 0.2]))
    noisy = curve * (1 + 0.05 * np.random.default_rng(0).standard_normal((8, points, 2)))
    measured = {"flow": curve[None], "descent": curve[None] * 0.99, "sgd": noisy}
    out = {f"{rung}_measured": y for rung, y in measured.items()} | {f"{rung}_x": t for rung in measured}
    return out | {"claimed": curve, "claimed_x": t}


def write(results: Path, made: dict[str, Any], points: int) -> None:
    place = results / made["claim"]
    place.mkdir(parents=True)
    (place / "record.json").write_text(json.dumps(made))
    np.savez(place / "trace.npz", **trace(points))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A held, a refuted, a one-instant, an absent and a damaged claim."""
    write(tmp_path, record("held", "verified"), 9)
    worse = {"setting": BASE.replace(training__eta=0.3).to_dict(), "rung": "flow", "residual": 1.0, "tolerance": 1e-7,
             "confirmed": [{"rung": "descent", "residual": 1.0, "tolerance": 1e-7}]}  # fmt: skip
    write(tmp_path, record("fallen", "refuted", counterexample=worse), 9)
    write(tmp_path, record("instant", "supported", transfer=None), 1)
    write(tmp_path, record("held", "verified") | {"claim": "broken"}, 9)
    (tmp_path / "broken" / "record.json").write_text("{ not json")
    return tmp_path


def ink(png: Path) -> float:
    """Share of pixels that are not white."""
    from matplotlib.image import imread

    return float((imread(png)[..., :3].min(-1) < 0.9).mean())


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


class Page(HTMLParser):
    """Attributes that could fetch something, ids, images without words, and whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("href", "src")]
        self.ids += [given["id"] or ""] if "id" in given else []
        self.silent += tag == "img" and not given.get("alt")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"


def test_the_report_is_one_self_contained_page(results: Path) -> None:
    for path in sorted(results.glob("*/trace.npz")):
        if path.parent.name != "broken":
            figures.draw_claim(results, path.parent.name)
    with pytest.raises(figures.UnreadableRecord, match="broken"):
        figures.draw_claim(results, "broken")
    for path in sorted((results / "pictures").glob("*.npz")):
        figures.draw_picture(results, path.stem)
    out = write_report(results, CLAIMS, {"instant": True}, results / "report.html")
    text = out.read_text()
    page = Page(text)
    assert not page.open
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert {c.id for c in CLAIMS} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.ids) >= {link[1:] for link in page.links if link.startswith("#")}
    assert page.silent == 0
    assert page.tags.count("img") == 3  # one figure for each readable record with a picture
    assert "math" in page.tags
    assert "open (not run)" in text
    assert "broken/record.json is not readable JSON: delete it, then run `noncollapse verify broken`" in text
    assert "training.eta = 0.3" in text  # the counterexample, by what it changes
    assert text.count('class="stale"') == 3  # in the summary, the table and the claim's own heading
    assert re.search(r"verified</span>\s*1 ", text)


def test_the_report_escapes_what_records_say(results: Path) -> None:
    path = results / "held" / "record.json"
    path.write_text(json.dumps(record("held", "verified", explains="<script>alert(1)</script>", scope="a < b")))
    text = write_report(results, CLAIMS, {}, results / "report.html").read_text()
    assert "<script" not in text
    assert "a &lt; b" in text


def test_an_unknown_verdict_is_shown_as_an_error(results: Path) -> None:
    path = results / "held" / "record.json"
    path.write_text(json.dumps(record("held", "verified", verdict="certainly")))
    text = write_report(results, CLAIMS, {}, results / "report.html").read_text()
    assert "certainly" in text
    assert "is none of verified" in text


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


def test_every_picture_has_its_family_and_draws(tmp_path: Path) -> None:
    assert set(figures.FAMILIES) == set(pictures.PICTURES)
    pictures.save(tmp_path, "phase-portrait", scale=0.3)
    assert ink(figures.draw_picture(tmp_path, "phase-portrait")) > 0.01  # as above
    with pytest.raises(deep_picture.NothingToDraw, match="run `noncollapse verify`"):
        pictures.save(tmp_path, "deep-modes")


def test_the_separatrix_is_where_collapse_begins() -> None:
    """Starts a little to either side of it, integrated forwards, end at p+ and at 0; p = p- would not split them."""
    from dynamics import modes
    from dynamics.solver import integrate

    made = pictures.compute("phase-portrait")
    a, eta, (p_minus, p_plus) = float(made["a"]), float(made["eta"][1]), made["fixed1"][1:, 0]
    path = made["separatrix1"]
    left = path[np.argmin(np.abs(path[:, 0] + 0.3))]  # a point of the boundary far off the parabola's saddle
    assert left[0] < p_minus - 0.3  # so p = p- is a different boundary: it would call both starts collapsed

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        p, w = y.T
        return np.stack(modes.field(p, w, w, a, 1.0, 1.0, 0.0, eta, eta)[:2], axis=1)

    starts = np.array([[left[0], np.sqrt(left[1] * share)] for share in (0.99, 1.01)])
    end = integrate(velocity, starts, np.array([0.0, 300.0]), rtol=1e-9).y[-1, :, 0]
    assert abs(end[0]) < 1e-9  # e^{-0.1 * 300} = 1e-13 of the start, up to the time spent near the saddle
    assert abs(end[1] - p_plus) < 1e-6  # attracted at a rate above 0.1: e^-30 up to the same


def test_formulas_are_mathml_or_code() -> None:
    assert "<math" in mathml(r"\frac{1}{2}\|W\|^2")
    assert mathml(r"\left( x").startswith("<code>")  # malformed
    assert mathml(r"\nosuchcommand x").startswith("<code>")  # unknown: no raw backslash is passed off as a formula
    assert cut(r"a,\ b\quad\left(c\quad d\right)") == ["a,", "b", r"\left(c\quad d\right)"]
    assert prose("words < words") == "words &lt; words"
    assert "<math" in prose("the rate $\\eta$ holds")
    assert prose(r"P^\top G=0\ \text{at rest}").count("<math") == 2  # cut before its words
