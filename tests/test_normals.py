"""Normals of compiled code against numpy's from the same seed, over enough draws for every branch of the ziggurat."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc

from full_models.normals import LAYERS, WIDTH, F, Normals, R

SEED = np.random.SeedSequence(5)
DRAWS = 10**6


def numpys(count: int) -> np.ndarray:
    return np.random.Generator(np.random.SFC64(SEED)).standard_normal(count)


def test_the_stream_is_numpys() -> None:
    got, expected = Normals(SEED).fill((DRAWS,), np.float64), numpys(DRAWS)
    # numpy's tables are rounded from more digits; each of our layers comes from the one below by a root and a logarithm
    np.testing.assert_allclose(got, expected, rtol=1000 * LAYERS * 2.0**-53)
    assert (np.abs(expected) > R).sum() > 100  # the tail was there: 2.6e-4 of a million
    assert not np.allclose(got, np.roll(expected, 1))


def test_its_layers_have_equal_areas_and_end_at_the_top() -> None:
    """Beyond what the draws above can see: the tables by their definition."""
    x = WIDTH * 2.0**52
    areas = x[1:] * (F[:-1] - F[1:])
    area = R * F[-1] + np.sqrt(np.pi / 2) * erfc(R / np.sqrt(2))
    np.testing.assert_allclose(areas[1:], area, rtol=1e-9)  # differences of f near its top lose 5 digits of 16
    np.testing.assert_allclose(x[1] * (1 - F[1]), area, rtol=1e-9)
    np.testing.assert_allclose(x[0] * F[-1], area, rtol=1e-14)  # the lowest, as a rectangle


def test_how_it_is_cut_does_not_change_it() -> None:
    whole, parts = Normals(SEED).fill((30, 7), np.float64), Normals(SEED)
    cut = [parts.fill((n, 7), np.float64) for n in (1, 9, 20)]
    np.testing.assert_array_equal(np.concatenate(cut), whole)
    other = Normals(np.random.SeedSequence(6)).fill((30, 7), np.float64)
    assert np.abs(other - whole).max() > 1  # 210 independent pairs: certain


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 2, 5)])
def test_in_float32_they_are_the_same_numbers_rounded(shape: tuple[int, ...]) -> None:
    single = Normals(SEED).fill(shape, np.float32)
    assert single.dtype == np.float32 and single.shape == shape
    np.testing.assert_array_equal(single, Normals(SEED).fill(shape, np.float64).astype(np.float32))
