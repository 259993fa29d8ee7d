"""What the pictures of claims and diagrams show, and what they leave out: read off the artists, not off the pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from derivations.registry import CLAIMS
from dynamics.simulate import flow
from figures import claim, diagram, draw_claim, evidence, style, training
from noncollapse.diagram import Axis, compute

T = np.linspace(0.0, 40.0, 41)


def drawn(monkeypatch: pytest.MonkeyPatch, folder: Path, picture: dict[str, Any], trace: dict[str, Any]) -> Axes:
    """The axes of a claim's picture, caught on their way to the file."""
    caught: list[Figure] = []
    monkeypatch.setattr(style, "finish", lambda figure, *_: caught.append(figure) or Path())
    given = {"xlabel": "t", "ylabel": "y", "log": False, "counterexample": True, "rungs": ["flow", "descent"]} | picture
    made = {"claim": "one", "verdict": "refuted", "provenance": {}, "picture": given}
    (folder / "one").mkdir(exist_ok=True)
    (folder / "one" / "record.json").write_text(json.dumps(made))
    np.savez(folder / "one" / "trace.npz", **trace)
    draw_claim(folder, "one")
    return caught[0].axes[0]


def words(ax: Axes) -> list[str]:
    return [text.get_text() for legend in ax.figure.legends for text in legend.get_texts()]


def curves(flow_: np.ndarray, descent: np.ndarray, claimed: np.ndarray | None = None) -> dict[str, Any]:
    out = {"flow_x": T, "flow_measured": flow_[None], "descent_x": T, "descent_measured": descent[None]}
    return out if claimed is None else out | {"claimed": claimed, "claimed_x": T}


def test_a_claimed_zero_is_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stays = np.full((41, 2), 0.3)
    ax = drawn(monkeypatch, tmp_path, {}, curves(stays, stays, np.zeros((41, 2))))
    zero = [line for line in ax.lines if not np.any(line.get_ydata())]
    assert len(zero) == 1 and zero[0].get_color() not in style.PALETTE, "one line, of no component's colour"
    assert "claimed: 0, fails here" in words(ax)
    assert ax.get_ylim()[0] < 0 < 0.3 < ax.get_ylim()[1]
    falls = np.exp(-0.2 * T)[:, None]
    ax = drawn(monkeypatch, tmp_path, {"log": True}, curves(falls, falls, np.zeros((41, 1))))
    assert all(np.all(np.asarray(line.get_ydata()) > 0) for line in ax.lines), "a log axis has no place for it"
    assert "claimed: 0, fails here (off the axis)" in words(ax)


def test_components_that_coincide_have_their_markers_in_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for m in (1, 2, 4, 6):
        same = np.repeat(np.exp(-0.1 * T)[:, None], m, axis=1)
        ax = drawn(monkeypatch, tmp_path, {}, curves(same, same))
        every: list[Any] = [line.get_markevery() for line in ax.lines if line.get_marker() == "s"]
        marked = [np.arange(41)[slice(start, None, step)] for start, step in every]
        assert len(marked) == m
        assert len(np.unique(np.concatenate(marked))) == sum(map(len, marked)), "no two at one time"
        assert all(4 <= len(times) <= claim.MOST_MARKERS for times in marked)
        widths = [line.get_linewidth() for line in ax.lines if line.get_linestyle() == "-"]
        assert m == 1 or widths[0] > widths[1], "the first line shows beside those on top of it"


def test_below_the_integrators_floor_nothing_is_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    true = np.exp(-2.5 * T)[:, None]  # 1e-12 at t = 11
    noisy = np.maximum(true, 1e-13 * (1 + np.sin(T[:, None])))
    ax = drawn(monkeypatch, tmp_path, {"log": True}, curves(noisy, true))
    assert ax.get_ylim()[0] == pytest.approx(1e-13) and 11 < ax.get_xlim()[1] < 13
    assert "below the integrator's floor" in words(ax)
    for line in (line for line in ax.lines if len(np.asarray(line.get_ydata())) > 2):
        assert len(np.asarray(line.get_ydata())) == 13, "up to the first time below the floor"
    ax = drawn(monkeypatch, tmp_path, {"log": True}, curves(np.exp(-0.5 * T)[:, None], np.exp(-0.5 * T)[:, None]))
    assert "below the integrator's floor" not in words(ax) and ax.get_xlim()[1] > 40


def test_no_name_of_a_control_is_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    caught: list[Figure] = []
    monkeypatch.setattr(style, "finish", lambda figure, *_: caught.append(figure) or Path())
    name = "wrong theory: the inequality reversed with the entropy of Z"
    controls = [{"name": n, "residual": 1.0, "tolerance": 1e-7, "as_it_should": True} for n in ("short", name)]
    evidence.draw_evidence({"claim": "c", "provenance": {}, "controls": controls}, tmp_path)
    ax = caught[0].axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[1].replace("\n", " ") == name.replace("wrong theory", "wrong")
    assert max(map(len, labels[1].split("\n"))) <= evidence.LONGEST
    caught[0].draw_without_rendering()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert boxes[1].y1 < boxes[0].y0, "the lines of one do not run into the other"


def test_a_diagram_names_only_what_it_shows() -> None:
    for low, shown in ((0.0, True), (0.3, False)):  # eta_c = 1/4a = 0.2
        arrays, _ = compute(Axis("eta", low, 0.5), Axis("p0", 0.2, 1.0), size=(8, 8))
        assert any(r"\eta_c" in str(label) for label in arrays["labels"])
        arrays["end"][0, 0] = 2
        with style.house():
            figure = diagram.draw(arrays)
        said = words(figure.axes[0])
        assert any(r"\eta_c" in text for text in said) == shown
        assert "undecided" in said


def test_steps_of_training_are_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run: dict[str, Any] = {name: 1 + rng.random((1, 4)) for name in ("loss", "erank", "directions")}
    run |= {"t": np.array([0.0, 3.0, 7.0, 10.0]), "spectrum": rng.random((1, 4, 5))}
    with style.house():
        figure = training.draw(run)
        assert all(float(tick).is_integer() for ax in figure.axes for tick in ax.get_xticks())


@pytest.mark.parametrize(
    "name", ["naive-collapse", "invariance-singular-values", "byol-condition-predictor", "tian-no-predictor",
             "byol-condition-stop-gradient", "byol-condition-cross-correlation", "byol-condition-full-rank",
             "tian-theorem2", "tian-trivial-basin", "tian-assumption3", "tian-shared-tau"],
)  # fmt: skip
def test_a_claim_of_a_vanishing_limit_draws_it(name: str) -> None:
    one = CLAIMS[name]
    assert one.picture is not None
    made = one.picture(flow(one.base))
    assert made.claimed is not None and not made.claimed.any()
    assert made.claimed.shape == made.measured.shape[1:], "a curve beside each measured one"
