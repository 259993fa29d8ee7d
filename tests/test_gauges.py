"""Gauges of transfer: each reads the ends that its sentence names, off deep Runs whose other times say something else."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.registry import CLAIMS
from derivations.tian_parabola import _correlation
from dynamics.run import Run

SEEDS = 3
JUNK = 1e3  # between the ends, and beside the smallest eigenvalue
FALLS, FALLS_IN_BOTH, KEPT_BESIDE = (1.0,), (1.0, 2.0), (1.0,)
LEFT_BESIDE = (1 - np.log(2),)  # log (1/e) / (2/e²)
EXPECTED = {  # network i starts at i and ends at i e^{-i}: what the gauge reads of each seed, network by network
    "naive-collapse": FALLS_IN_BOTH,
    "invariance-singular-values": FALLS_IN_BOTH,
    "byol-condition-predictor": FALLS,
    "byol-condition-stop-gradient": FALLS,
    "byol-no-collapse": KEPT_BESIDE,
    "byol-three-conditions": KEPT_BESIDE,
    "tian-theorem2": LEFT_BESIDE,
    "tian-no-predictor": LEFT_BESIDE,
    "tian-weight-decay-threshold": LEFT_BESIDE,
    "tian-theorem3": FALLS,
    "tian-invariant-parabola": (0.5,),  # of (1, 2, 3) and (1, 3, 2)
}


def deep(i: int) -> Run:
    over_time = np.tile([i, JUNK, 1 / JUNK, i * np.exp(-i)], (SEEDS, 1))
    p, s = np.tile([1.0, 5.0, 2.0], (SEEDS, 4, 1)), np.tile([3.0, 1.0, 3.0], (SEEDS, 4, 1))
    p[:, -1], s[:, -1] = np.sqrt([1.0, 2.0, 3.0]), [1.0, 3.0, 2.0]
    spectrum = np.full((SEEDS, 4, 3), JUNK)
    spectrum[..., -1] = over_time
    obs = {"variance": over_time, "alignment": over_time, "spectrum": spectrum, "p": p, "s": s}
    return Run(CLAIMS["naive-collapse"].base, "deep", np.arange(4.0), obs)


def test_every_gauge_is_held_to_a_number() -> None:
    assert set(EXPECTED) == {c.id for c in CLAIMS.values() if c.transfer}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_gauge_reads_the_ends(name: str) -> None:
    transfer = CLAIMS[name].transfer
    assert transfer is not None
    found = transfer.gauge({network: deep(i) for i, network in enumerate(transfer.deep, start=1)})
    np.testing.assert_allclose(found, np.repeat(EXPECTED[name], SEEDS), rtol=1e-12)  # rounding of a few logarithms


def test_a_spectrum_that_is_constant_is_correlated_with_nothing() -> None:
    np.testing.assert_array_equal(_correlation(np.ones((2, 3)), np.arange(6.0).reshape(2, 3)), [0.0, 0.0])
