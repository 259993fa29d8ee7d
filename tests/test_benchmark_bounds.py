"""Benchmarks name the condition of an aim, and hold a run against a bound that no shape of product beats."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import infonce, infonce_bounds, infonce_methods, sgd
from benchmarks.sgd_bounds import Machine, bounds
from benchmarks.sgd_methods import LOOP, ONE, OWN


def test_an_sgd_aim_names_its_condition_and_the_ratio_without_it() -> None:
    rows = [{"method": LOOP, "d": 64, "batch": batch, "dtype": "float64", "slower": slower, "slower_than_one_rate": 9.0,
             "slower_than_bound": 20.0} for batch, slower in ((32, 17.0), (256, 19.0))]  # fmt: skip
    assert sgd.goals(rows) == {
        "pairs, d <= 64, float64, 8 learning rates on one batch, at least 15x": "17x at d = 64, batch 32 (at one rate: 9x)",
        "moments, float64, 8 learning rates on one batch, at least 25x": (
            "19x at d = 64, batch 256 (missed; 20x at the bound; at one rate: 9x)"
        ),
    }


def test_growth_is_read_along_one_path_of_batches() -> None:
    sizes = [(32, 16), (64, 32), (128, 64), (64, 64)]  # the last on no path
    rows = [{"method": method, "d": d, "batch": batch, "dtype": "float32", "us_per_run_step": d**power + (d == batch)}
            for method, power in ((OWN, 3), (ONE, 2.5), (LOOP, 2), ("vmap", 1)) for d, batch in sizes]  # fmt: skip
    expected = {OWN: 3, ONE: 2.5, LOOP: 2, "vmap": 1}
    ((place, found),) = sgd.growth(rows).items()
    assert place == "batch = d/2, d = 32, 64, 128, float32" and found == pytest.approx(expected, rel=1e-12)  # float64


@pytest.mark.parametrize("batch", [32, 256])  # pairs, moments
def test_no_shape_of_product_beats_the_bound(batch: int) -> None:
    """BLAS here is faster at the case's own shapes than at the large one, as on some processors."""
    of = Machine({(64, 64, 32): 90.0, (64, 32, 64): 80.0, (64, 64, 64): 85.0, (768, 768, 768): 70.0}, normals=500.0)
    least, blas = bounds(64, batch, 8, of)
    assert least <= blas
    assert bounds(64, batch, 1, of)[0] > least  # fewer share the draw


def test_no_shape_of_a_block_beats_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block's three products: one of them at 100 GFLOP/s, faster than the large product's 50."""
    N, d = 1000, 10
    flop = 2 * N**2 * d
    monkeypatch.setattr(infonce_bounds, "at_shape", lambda *_: (1e-9 * flop * (1 / 100 + 1 / 40 + 1 / 40), 100.0))
    of = {"products float32, GFLOP/s": 50.0} | {
        f"exponentials float32 by {by}, G/s": 1.0 for by in ("numpy", "torch", "own")
    }
    least, blas = infonce_bounds.bounds(N, d, "float32", 6, of)
    assert least == pytest.approx(1e-9 * (3 * flop / 100 + N**2)) and least < blas


@pytest.mark.parametrize("missing", ["lightly", "torchvision"])
def test_a_peer_that_cannot_be_imported_is_skipped_with_a_remedy(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infonce_methods, "find_spec", lambda name: None if name == missing else object())
    case = infonce.Case("NT-Xent: lightly", 2048, 128, "float64", 5, False)
    assert not case.measured
    row: dict[str, Any] = infonce.row(case, [], copied=1.0)
    assert "torchvision" in row["skipped"] and "pip install" in row["skipped"]
