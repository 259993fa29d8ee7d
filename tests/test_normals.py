"""Normals of compiled code: the words are numpy's, the formula is that of wider numbers, the law is normal."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from numba import types
from scipy import stats

from full_models.normals import BLOCK, LANES, MIXED, Normals
from full_models.polar import FORMS, LOWEST, Form, normals_of, radius, turned

SEED = np.random.SeedSequence(5)
DRAWS = 4 * 10**6
KINDS = pytest.mark.parametrize("form", FORMS.values(), ids=[str(t) for t in FORMS])


def test_the_words_of_every_generator_are_numpys() -> None:
    rounds, source = 40, Normals(SEED)
    starts = SEED.generate_state(3 * LANES, np.uint64).reshape(3, LANES)
    words = []
    source.fill((1,))  # makes a block
    for lane in range(LANES):
        numpys = np.random.SFC64()
        state = numpys.state
        state["state"]["state"] = np.array([*starts[:, lane], 1], np.uint64)
        numpys.state = state
        words.append(numpys.random_raw(MIXED + rounds)[MIXED:])
    got = source.words.reshape(-1, LANES)
    per_block = len(got)
    np.testing.assert_array_equal(got, np.array(words).T[:per_block])
    assert len(np.unique(got)) == got.size  # 1024 of 2^64: generators that share a state would give equal words


def test_the_rounds_before_the_first_word_are_numpys() -> None:
    """numpy's generator from its own seed, and by hand from the words that it takes for its state."""
    numpys, by_hand = np.random.SFC64(SEED), np.random.SFC64()
    state = by_hand.state
    state["state"]["state"] = np.array([*SEED.generate_state(3, np.uint64), 1], np.uint64)
    by_hand.state = state
    by_hand.random_raw(MIXED)
    np.testing.assert_array_equal(by_hand.random_raw(5), numpys.random_raw(5))


def some_words(form: Form) -> np.ndarray:
    """2n words: n for radii, n for angles; the ends of both among them, and u around 1, ½ and √½."""
    bits = np.iinfo(form.whole).bits
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 2**bits, 2**15, dtype=f"u{bits // 8}")
    ends = np.array([0, 1, 2, 3, 2**bits - 1, 2**bits - 2, 2 ** (bits - 1), 2 ** (bits - 1) - 1], drawn.dtype)
    near = np.array([int(x * 2**bits) for x in (0.5**0.5, 0.25**0.5, 0.125**0.5, 1 - 2.0**-20, 2.0**-20)], drawn.dtype)
    special = np.concatenate([ends, near, near + (1 << (bits - form.cells)), near - (1 << (bits - form.cells))])
    half = np.concatenate([special, drawn])
    return np.concatenate([half, np.roll(half, len(half) // 3)]).view(form.whole)


def exactly(form: Form, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(normals, radii of all) in long doubles, from the formula at the head of `full_models.polar`."""
    bits = np.iinfo(form.whole).bits
    u, angle = np.split(words.view(f"u{bits // 8}"), 2)
    wide = np.longdouble
    middle = ((u >> (bits - form.cells)).astype(wide) + wide(0.5)) / wide(2) ** form.cells
    r = np.sqrt(-2 * np.log(middle))
    t = ((angle >> (bits - form.fraction)).astype(wide) + wide(0.5)) / wide(2) ** form.fraction - wide(0.5)
    theta = 2 * np.arctan(wide(1)) * t
    x, y = r * np.cos(theta), r * np.sin(theta)
    x = np.where(angle & 2, -x, x)
    x, y = np.where(angle & 1, y, x), np.where(angle & 1, x, y)
    return np.concatenate([x, y]), np.concatenate([r, r])


@KINDS
def test_the_formula_is_that_of_wider_numbers(form: Form) -> None:
    words = some_words(form)
    out = np.empty(len(words), form.real)
    normals_of(words, out)
    expected, r = exactly(form, words)
    eps = np.finfo(form.real).eps
    allowed = 4 * eps * r  # logarithm, root, sine and their product: half an eps each, and as much again
    if (
        form.real == np.float32
    ):  # u is rounded to 24 bits, by eps / 4 beside 1, where r = sqrt(2 (1 - u)): dr <= min(eps / 2 r, …)
        allowed += np.minimum(np.sqrt(eps), eps / r)
    assert np.isfinite(out).all()
    assert (np.abs(out - expected) <= allowed).all()
    shifted = np.roll(expected, 1)
    assert (np.abs(out - shifted) > allowed).mean() > 0.99  # another word's number is seen
    least = math.sqrt(2 * (form.cells + 1) * math.log(2))  # r of the word 0, of which sine or cosine are at least √½
    assert least * math.sqrt(0.5) <= np.abs(out).max() <= least
    assert form.cells + 1 < LOWEST


@KINDS
def test_the_angles_lie_symmetrically_about_zero(form: Form) -> None:
    """Where all bits of t turn, the sine changes its sign and nothing else does, to the last bit."""
    words = some_words(form)
    half, spare = len(words) // 2, np.iinfo(form.whole).bits - form.fraction
    turned_round = words.copy()
    turned_round[half:] ^= form.whole(-1 << spare)
    one, other = np.empty(len(words), form.real), np.empty(len(words), form.real)
    normals_of(words, one)
    normals_of(turned_round, other)
    swapped = (words[half:] & 1).astype(bool)
    sines, cosines = (np.where(s, one[:half], one[half:]) for s in (swapped, ~swapped))
    np.testing.assert_array_equal(np.where(swapped, other[:half], other[half:]), -sines)
    np.testing.assert_array_equal(np.where(swapped, other[half:], other[:half]), cosines)
    assert (sines != 0).mean() > 0.99  # but where r rounds to 0


@KINDS
def test_the_series_have_the_terms_that_the_last_place_asks_for_and_no_more(form: Form) -> None:
    half_a_place = np.finfo(form.real).eps / 4  # of 1, seen from below
    s = (math.sqrt(2) - 1) / (math.sqrt(2) + 1)  # at m = √2
    logarithm = lambda terms: s ** (2 * terms) / (2 * terms + 1)  # noqa: E731  next term over the first
    cosine = lambda terms: (math.pi / 4) ** (2 * terms) / math.factorial(2 * terms)  # noqa: E731
    for left, terms in ((logarithm, form.log_terms), (cosine, form.turn_terms)):
        assert left(terms) < half_a_place <= left(terms - 1)


def departures(x: np.ndarray) -> dict[str, float]:
    """In standard errors: moments, tails, and products of neighbours, which stand a generator, a row or half a block apart."""
    x = x.astype(float)
    n, block = len(x), BLOCK // 8
    out = {}
    moments = {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}  # order -> mean and variance of x^order
    for order, (mean, variance) in moments.items():
        out[f"moment {order}"] = (np.mean(x**order) - mean) / np.sqrt(variance / n)
    for edge in (2.0, 3.0, 4.0, -2.0, -3.0, -4.0):
        p = stats.norm.sf(abs(edge))
        out[f"beyond {edge:g}"] = (np.mean(x > edge if edge > 0 else x < edge) - p) / np.sqrt(p / n)
    for lag in (1, LANES, block // 2, block):
        a, b = x[:-lag], x[lag:]
        out[f"product, {lag}"] = np.mean(a * b) * np.sqrt(len(a))
        out[f"squares, {lag}"] = np.mean((a**2 - 1) * (b**2 - 1)) / 2 * np.sqrt(len(a))
    return {name: float(abs(value)) for name, value in out.items()}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_law_is_normal_and_neighbours_are_independent(dtype: Any) -> None:
    x = Normals(SEED, dtype).fill((DRAWS,))
    assert max(departures(x).values()) < 5  # standard errors, n = 4 000 000; the largest of 18, hence one beyond 4
    assert stats.kstest(x[: DRAWS // 4], "norm").pvalue > 6.3e-5  # 4 standard errors, n = 1 000 000


FAULTS: dict[str, Any] = {
    "a scale off by four thousandths": lambda x: 1.004 * x,
    "a cosine that is never negative": lambda x: np.where(np.arange(len(x)) % 2, np.abs(x), x),
    "the same angle twice": lambda x: np.repeat(x[: len(x) // 2], 2),
    "the second half of a block is the first": lambda x: np.tile(
        x.reshape(-1, 2, BLOCK // 16)[:, :1], (1, 2, 1)
    ).ravel(),
    "uniform cells too coarse for the tail": lambda x: np.clip(x, -3.9, 3.9),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_departures_see_a_fault(fault: str) -> None:
    x = Normals(SEED).fill((DRAWS // (BLOCK // 8) * (BLOCK // 8),))
    assert max(departures(FAULTS[fault](x)).values()) > 5  # standard errors, which the right law stays below


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_how_it_is_cut_does_not_change_it(dtype: Any) -> None:
    whole, parts = Normals(SEED, dtype).fill((7000,)), Normals(SEED, dtype)
    block = BLOCK // np.dtype(dtype).itemsize
    cuts = [0, 1, 1, block - 1, block, 0, 7, block + 5]  # within a block, to its end, over it
    got = [parts.fill((n,)) for n in (*cuts, 7000 - sum(cuts))]
    np.testing.assert_array_equal(np.concatenate(got), whole)
    assert len(np.unique(whole[: 2 * block])) > 1.99 * block  # two blocks, no number's twin but by chance
    other = Normals(np.random.SeedSequence(6), dtype).fill((7000,))
    assert np.abs(other - whole).max() > 1  # 7000 independent pairs: certain


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 2, 5)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_shapes_and_types(shape: tuple[int, ...], dtype: Any) -> None:
    x = Normals(SEED, dtype).fill(shape)
    assert x.shape == shape and x.dtype == dtype


@pytest.mark.parametrize(
    ("seed", "dtype", "message"),
    [(SEED, np.int64, "ask for float64 or float32"), (SEED, "float16", "ask for float64 or float32"), (5, np.float64, "give numpy.random.SeedSequence")],
)  # fmt: skip
def test_bad_input_says_what_to_do(seed: Any, dtype: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Normals(seed, dtype)


def test_coarser_cells_are_taken_from_the_top_of_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    form = replace(FORMS[types.int32], cells=24)
    monkeypatch.setitem(FORMS, types.int32, form)
    words, out = some_words(form), np.empty(2 * len(some_words(form)) // 2, form.real)
    numba.njit(normals_of.py_func)(words, out)
    expected, r = exactly(form, words)
    assert (
        np.abs(out - expected) <= 4 * np.finfo(form.real).eps * r + np.sqrt(np.finfo(form.real).eps)
    ).all()  # as above


def test_the_parts_are_for_compiled_code() -> None:
    with pytest.raises(NotImplementedError, match="compiled"):
        radius(types.int64)
    with pytest.raises(NotImplementedError, match="compiled"):
        turned(1.0, types.int64)
