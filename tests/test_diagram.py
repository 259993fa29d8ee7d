"""Phase diagrams: the record holds the theory's boundary, the picture is drawn from it alone, bad requests get a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics import modes, phases
from figures import draw_diagram
from noncollapse import diagram
from noncollapse.cli import main


def run(capsys, *words: str) -> tuple[int, str, str]:
    try:
        code = main(["phase", *words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_a_diagram_is_computed_recorded_and_drawn(tmp_path: Path, capsys) -> None:
    words = (
        "--x",
        "eta=0.01:0.3",
        "--y",
        "p0=0.01:1",
        "--size",
        "50x40",
        "--set",
        "alpha_p=2",
        "--name",
        "eta-p0",
        "--results",
        str(tmp_path),
    )
    code, out, _ = run(capsys, *words, "--json")
    record = json.loads(out)
    assert code == 0 and record["counts"]["undecided"] == 0 and not record["failures"]
    assert (
        sum(record["counts"].values()) == 2000
        and record["provenance"]["sources"]
        and record["fixed"] == {"alpha_p": 2.0}
    )
    with np.load(tmp_path / "phase" / "eta-p0.npz") as stored:
        arrays = dict(stored)
    assert arrays["end"].shape == arrays["time"].shape == (40, 50)
    eta, p0 = arrays["x"][None, :], arrays["y"][:, None]
    roots = modes.fixed_points(1.25, 1.0, eta)
    assert np.array_equal(arrays["end"] == phases.SURVIVAL, p0 > np.nan_to_num(roots.p_minus, nan=np.inf))
    assert not np.array_equal(
        arrays["end"] == phases.SURVIVAL, p0 > np.nan_to_num(roots.p_plus, nan=np.inf)
    )  # another line is not it
    lines = {str(label): arrays[f"line{i}"] for i, label in enumerate(arrays["labels"])}
    assert np.allclose(lines[r"$\eta_c=c^2/4a$"][:, 0], 0.2)
    line = lines["$p_-$"]
    speed = modes.parabola_field(line[:, 1], 1.25, 1.0, line[:, 0])[np.isfinite(line[:, 1])]
    assert np.allclose(speed, 0, atol=1e-15)  # rounding of terms below 1
    png = tmp_path / "phase" / "eta-p0.png"
    before = png.read_bytes()
    assert str(png) == record["figure"] and png.with_suffix(".svg").is_file()
    assert draw_diagram(tmp_path, "eta-p0").read_bytes() == before  # from the record alone, the same bytes


@pytest.mark.parametrize(
    ("x", "y"),
    [(("a", 0.5, 3.0), ("c", 0.1, 2.0)), (("c", 0.1, 2.0), ("a", 0.5, 3.0)), (("c", 0.1, 2.0), ("p0", 0.0, 2.0)),
     (("alpha_p", 0.5, 2.0), ("a", 0.5, 3.0))],
)  # fmt: skip
def test_the_fold_is_drawn_over_whichever_of_its_letters_is_an_axis(x: tuple[Any, ...], y: tuple[Any, ...]) -> None:
    arrays, _ = diagram.compute(diagram.Axis(*x), diagram.Axis(*y), {"eta": 0.15}, (41, 37))
    line = arrays["line" + str(list(arrays["labels"]).index(r"$\eta_c=c^2/4a$"))]
    on = {"a": 1.25, "c": 1.0, x[0]: line[:, 0], y[0]: line[:, 1]}
    assert np.allclose(on["c"] ** 2 / (4 * on["a"]), 0.15, rtol=1e-14)  # a few roundings
    grid = {"a": 1.25, "c": 1.0, x[0]: arrays["x"][None, :], y[0]: arrays["y"][:, None]}
    beyond = np.broadcast_to(grid["c"] ** 2 / (4 * grid["a"]) < 0.15, arrays["end"].shape)
    assert 100 < beyond.sum() < beyond.size - 100 and (arrays["end"][beyond] == phases.COLLAPSE).all()
    assert (arrays["end"][~beyond] == phases.SURVIVAL).any()


def test_the_stable_manifold_bounds_the_basin_off_the_parabola() -> None:
    x, y = diagram.Axis("p0", -0.5, 1.1), diagram.Axis("w0", 0.01, 0.8)
    arrays, about = diagram.compute(x, y, {"eta": 0.1, "c": 0.8, "alpha_p": 2.0}, (33, 400))
    labels = [str(label) for label in arrays["labels"]]
    line = arrays[f"line{labels.index(r'stable manifold of $p_-$')}"]
    line = line[np.argsort(line[:, 0])]
    edge = arrays["y"][np.argmax(arrays["end"] == phases.SURVIVAL, axis=0)]  # lowest w0 that survives, per p0
    at = np.interp(arrays["x"], line[:, 0], line[:, 1])
    seen = (at > arrays["y"][1]) & (at < arrays["y"][-1])
    pixel = arrays["y"][1] - arrays["y"][0]
    assert seen.sum() > 20 and np.abs(edge - at)[seen].max() < 2 * pixel  # one of the grid, one of the polyline
    assert np.abs(edge - np.abs(arrays["x"]) / np.sqrt(2))[seen].max() > 20 * pixel  # the parabola is not the boundary
    assert about["counts"]["collapse"] > 0 and about["counts"]["survival"] > 0


def test_an_ema_diagram_names_its_target() -> None:
    arrays, _ = diagram.compute(
        diagram.Axis("beta", 0.05, 5, True), diagram.Axis("p0", 0.05, 0.9), {"tau0": 0.0}, (12, 12)
    )
    assert str(arrays["target"]) == "EMA target" and arrays["log"][0]
    assert (
        (arrays["end"] == phases.COLLAPSE)[:, 0] >= (arrays["end"] == phases.COLLAPSE)[:, -1]
    ).all()  # a slow target hurts


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--x", "eta"), "not of the form"),
        (("--x", "eta=1:0"), "LOW < HIGH"),
        (("--x", "eta=0:1:log"), "both positive"),
        (("--x", "sigma=0:1"), "choose among eta"),
        (("--x", "p0=0:1"), "name each parameter once"),
        (("--set", "a=big"), "as in a=1.25"),
        (("--set", "a=1", "--set", "a=2"), "twice"),
        (("--set", "tau0=0"), "give beta"),
        (("--set", "beta=0.5"), "give eta > 0"),
        (("--set", "a=-1"), "a must be positive"),
        (("--size", "many"), "give one number"),
        (("--size", "1"), "2 to 10000"),
        (("--name", "../x"), "plain file name"),
    ],
)
def test_bad_requests_are_one_sentence(words: tuple[str, ...], says: str, tmp_path: Path, capsys) -> None:
    code, _, err = run(capsys, *words, "--results", str(tmp_path))
    assert code == 2 and says in err and err.count("\n") == 1 and not list(tmp_path.rglob("*.npz"))
