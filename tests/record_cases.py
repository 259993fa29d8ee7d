"""Made-up claims, their records and traces, and the ink of a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from derivations.assumption import Assumption
from derivations.claim import Claim, Transfer
from dynamics.setting import Setting

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
