"""The picture of a training run: from arrays alone, one run or several, labelled and unlabelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figures import UnreadableRecord, draw_training, training
from figures.style import house

T, D = 4, 30


def run(replicas: int = 1, labels: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    lam = np.sort(rng.random((replicas, T, D)))[..., ::-1] * np.arange(T)[:, None]  # all 0 at the start
    shape = (replicas, T)
    out = {"t": np.arange(T) * 10.0, "loss": rng.random(shape), "spectrum": lam, "erank": 1 + rng.random(shape),
           "directions": 1 + rng.random(shape)}  # fmt: skip
    if labels:
        out |= {"linear": rng.random(shape), "knn": rng.random(shape)}
        out |= {name: np.array(0.5) for name in ("pixels_linear", "pixels_knn", "chance")}
    return out


def test_a_run_fills_four_labelled_panels() -> None:
    with house():
        figure = training.draw(run())
    axes = figure.axes
    assert len(axes) == 4
    assert all(ax.get_xlabel() == "step" and ax.get_ylabel() for ax in axes)
    loss = next(line for line in axes[0].lines if line.get_marker() == "o")
    np.testing.assert_array_equal(loss.get_ydata(), run()["loss"][0])  # the record's numbers, nothing computed
    assert (
        len([line for line in axes[1].lines if line.get_linestyle() == "None"]) == 6
    )  # ranks 1, 2, 3, 5, 10, 20 of 30


def test_several_runs_are_a_row_each_with_bands_over_seeds() -> None:
    parts: dict[str, Any] = {"runs": np.array(["one", "two"])}
    for i, one in enumerate((run(), run(replicas=3, labels=False))):
        parts |= {f"{name}:{i}": value for name, value in one.items()}
    with house():
        figure = training.draw(parts)
    assert len(figure.axes) == 8
    assert [figure.axes[i].get_title(loc="left") for i in (0, 4)] == ["one", "two"]
    assert not figure.axes[0].collections and figure.axes[4].collections  # a band needs several seeds
    assert "no labels" in [text.get_text() for text in figure.axes[7].texts]


def test_a_record_is_drawn_and_a_broken_one_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecord, match="train"):
        draw_training(tmp_path)
    (tmp_path / "record.json").write_text(json.dumps({"provenance": {"sources": "abc", "budget": "30 steps"}}))
    np.savez(tmp_path / "record.npz", **run())
    first = draw_training(tmp_path).read_bytes()
    assert draw_training(tmp_path).read_bytes() == first and len(first) > 10_000  # a picture of some size
    np.savez(tmp_path / "record.npz", **{k: v for k, v in run().items() if k != "erank"})
    with pytest.raises(UnreadableRecord, match="erank"):
        draw_training(tmp_path)
