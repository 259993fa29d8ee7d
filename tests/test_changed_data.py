"""Data that changed under their name: what was made with the old ones is made anew, and not shown for the new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noncollapse import cli
from noncollapse.files import digest_of

TRAIN = ("train", "simclr", "--net", "linear", "--width", "8", "--batch", "32", "--epochs", "1", "--json")


def said(words: tuple[str, ...], results: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert cli.main([*words, "--results", str(results)]) == 0
    return json.loads(capsys.readouterr().out)


def images(path: Path, seed: int) -> None:
    np.savez(path, images=np.random.default_rng(seed).integers(0, 256, (80, 6, 6), dtype=np.uint8))


def pairs(path: Path, seed: int) -> None:
    x = np.random.default_rng(seed).random((50, 2, 2, 2))
    np.savez(path, x=x[:, 0], x_plus=x[:, 1])


def test_a_run_on_other_images_of_the_same_name_is_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "a.npz"
    words = (*TRAIN, "--data", str(data))
    images(data, 0)
    first = said(words, tmp_path, capsys)
    images(data, 1)
    other = said(words, tmp_path, capsys)
    assert other["rows"] != first["rows"]
    images(data, 0)
    (record,) = tmp_path.glob("train/*/record.json")
    record.unlink()  # the checkpoint of the other images is left
    assert said(words, tmp_path, capsys)["rows"] == first["rows"]
    data.unlink()
    assert said(words, tmp_path, capsys)["rows"] == first["rows"], "a record is shown where its data are not"


def test_a_sweep_over_other_pairs_of_the_same_name_is_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "p.npz"
    views = {"kind": "images", "data": str(data), "augment": "pairs", "d": 4}
    setting = json.dumps({"views": views, "training": {"t_end": 1.0, "eta": 0.5}})  # a decay that the claim leaves out
    words = ("sweep", "invariance-flow", "--setting", setting, "--over", "seed=0", "--rung", "flow", "--json")
    residuals = []
    for seed in (0, 1, 0):
        pairs(data, seed)
        (row,) = said((*words, "--engine", "processes:1"), tmp_path, capsys)["rows"]
        residuals.append(row["residual"])
    assert residuals[0] == residuals[2] != residuals[1]
    assert len(list(tmp_path.glob("sweeps/*.json"))) == 2, "the first pairs were swept once"


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    assert digest_of(tmp_path / "none") == ""
    made = [digest_of(tmp_path)]
    for name, side in (("a.png", 4), ("b.png", 4), ("b.png", 5)):
        Image.new("L", (side, side)).save(tmp_path / name)
        made.append(digest_of(tmp_path))
    assert len(set(made)) == len(made) and digest_of(tmp_path) == made[-1]
