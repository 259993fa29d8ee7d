"""Observables, by hand: effective rank, the normalised commutator, and how a predictor lies to the modes of F."""

from __future__ import annotations

import numpy as np
import pytest

from dynamics.observe import (
    commutator,
    effective_rank,
    embedding_covariance,
    mode_pairs,
    normalised_commutator,
    singular_values,
    spectrum,
)

TURN = np.array([[0.6, -0.8], [0.8, 0.6]])
SKEW = np.array([[0.0, 1.0], [0.0, 0.0]])
ROUNDING = 1e-14  # of a few products of numbers of order 1


@pytest.mark.parametrize(
    ("eigenvalues", "rank"),
    [
        ((1.0, 1.0, 1.0), 3.0),
        ((5.0, 0.0, 0.0), 1.0),
        ((2.0, 1.0, 1.0), 2**1.5),  # q = ½, ¼, ¼: an entropy of 3/2 bits
        ((2.0, 1.0, 1.0, -1e-17), 2**1.5),  # rounding below 0
        ((0.0, 0.0), 0.0),
    ],
)
def test_effective_rank(eigenvalues: tuple[float, ...], rank: float) -> None:
    both = effective_rank(np.array([eigenvalues, 7.0 * np.array(eigenvalues)]))
    np.testing.assert_allclose(both, rank, rtol=ROUNDING)  # whatever the scale


def test_spectra_fall() -> None:
    M = TURN @ np.diag([1.0, 3.0]) @ TURN.T
    np.testing.assert_allclose(spectrum(M[None] + [[0.0, 2.0], [-2.0, 0.0]]), [[3.0, 1.0]], rtol=ROUNDING)
    wide = np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    np.testing.assert_allclose(singular_values(wide), [3.0, 2.0], rtol=ROUNDING)
    np.testing.assert_array_equal(embedding_covariance(wide, np.diag([1.0, 2.0, 4.0])), [[8.0, 0.0], [0.0, 9.0]])


def test_a_commutator_and_its_normalised_form() -> None:
    D = np.diag([1.0, -1.0])  # [SKEW, D] = -2 SKEW
    assert commutator(SKEW, D) == pytest.approx(2.0, rel=ROUNDING)
    assert normalised_commutator(5 * SKEW, 3 * D) == pytest.approx(np.sqrt(2), rel=ROUNDING)  # 2 / (1 √2), the most
    assert normalised_commutator(D, 2 * D) == 0
    assert np.isnan(normalised_commutator(np.zeros((2, 2)), D))


def test_modes_of_a_predictor_that_shares_no_eigenvectors() -> None:
    """F has u_1 = (0.6, 0.8) at 3 and u_2 = (-0.8, 0.6) at 1; P is a projector on the first axis."""
    F, P = TURN @ np.diag([3.0, 1.0]) @ TURN.T, np.diag([1.0, 0.0])
    for p, s, cosine in (mode_pairs(P, F), (m[0] for m in mode_pairs(P[None], F[None]))):
        np.testing.assert_allclose(s, [3.0, 1.0], rtol=ROUNDING)
        np.testing.assert_allclose(p, [0.36, 0.64], rtol=ROUNDING)  # u_jᵀ P u_j
        np.testing.assert_allclose(cosine, [0.6, 0.8], rtol=ROUNDING)  # over ‖P u_j‖ = |u_j1|


def test_what_a_predictor_sends_to_zero_has_no_angle() -> None:
    _, _, cosine = mode_pairs(np.diag([0.0, -2.0]), np.diag([3.0, 1.0]))
    np.testing.assert_array_equal(cosine, [np.nan, -1.0])


def test_a_predictor_that_is_not_symmetric_acts_from_the_left() -> None:
    p, _, cosine = mode_pairs(np.array([[1.0, 0.0], [1.0, 1.0]]), np.diag([3.0, 1.0]))
    np.testing.assert_allclose(p, [1.0, 1.0], rtol=ROUNDING)
    np.testing.assert_allclose(cosine, [np.sqrt(0.5), 1.0], rtol=ROUNDING)  # P u_1 = (1, 1), P u_2 = u_2
