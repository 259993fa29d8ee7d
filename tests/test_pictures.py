"""Pictures of the theory: each has its family and draws, and the separatrix is where collapse begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from record_cases import ink

import figures
from noncollapse import deep_picture, pictures


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
