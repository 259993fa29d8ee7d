"""Verner's coefficients against what they must satisfy: every order condition of every rooted tree, and the edge of stability."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from dynamics.tableaus import VERNER_A, VERNER_B, VERNER_E
from dynamics.verner_source import LAST, STABILITY

Tree = tuple  # of the trees that hang on the root, sorted
EPS = np.finfo(float).eps
COUNTS = [1, 1, 2, 4, 9, 20, 48, 115]  # rooted trees of each order (Hairer, Nørsett & Wanner I, table II.2.2)


def trees(order: int) -> list[Tree]:
    """All rooted trees with so many nodes."""
    return [tuple(sorted(forest)) for forest in forests(order - 1, order - 1)]


def forests(nodes: int, largest: int) -> list[Tree]:
    """All multisets of trees of at most `largest` nodes each, with so many nodes together."""
    if nodes == 0:
        return [()]
    out: list[Tree] = []
    for size in range(min(nodes, largest), 0, -1):
        for count in range(1, nodes // size + 1):
            for some in combinations_with_replacement(trees(size), count):
                out += [some + rest for rest in forests(nodes - size * count, size - 1)]
    return out


def nodes(tree: Tree) -> int:
    return 1 + sum(nodes(t) for t in tree)


def density(tree: Tree) -> int:
    out = nodes(tree)
    for t in tree:
        out *= density(t)
    return out


def weight(tree: Tree, a: np.ndarray) -> np.ndarray:
    """The elementary weight of each stage: the product over the tree's branches t of a · weight(t)."""
    out = np.ones(len(a))
    for t in tree:
        out = out * (a @ weight(t, a))
    return out


def misses(b: np.ndarray, order: int, a: np.ndarray = VERNER_A) -> np.ndarray:
    """|b · weight - 1 / density| of each tree of this order, in units of its rounding: a product of order coefficients, each to
    one rounding, and the sums' own, 2 order roundings in all of Σ |terms|."""
    found = [(b @ weight(t, a) - 1 / density(t), np.abs(b) @ weight(t, np.abs(a))) for t in trees(order)]
    return np.array([abs(gap) / (2 * order * EPS * size) for gap, size in found])


def test_the_trees_are_all_there() -> None:
    assert [len(set(trees(order))) for order in range(1, 9)] == COUNTS
    assert all(len(trees(order)) == COUNTS[order - 1] for order in range(1, 9))


def test_order_seven_with_an_estimate_of_order_six() -> None:
    for order in range(1, 8):
        assert (misses(VERNER_B, order) < 1).all(), order
    assert (misses(VERNER_B, 8) > 1e3).any()  # and no more than that
    for order in range(1, 7):
        assert (misses(VERNER_B - VERNER_E, order) < 1).all(), order
    assert (misses(VERNER_B - VERNER_E, 7) > 1e3).any()


@pytest.mark.parametrize("spoiled", [(i, j) for i, j in zip(*np.nonzero(VERNER_A), strict=True)])
def test_a_wrong_digit_is_seen(spoiled: tuple[int, int]) -> None:
    """Every coefficient counts: a change in its tenth digit breaks some condition of the step or of its estimate."""
    a = VERNER_A.copy()
    a[spoiled] *= 1 + 1e-10
    both = np.concatenate(
        [misses(w, order, a) for w, top in ((VERNER_B, 7), (VERNER_B - VERNER_E, 6)) for order in range(2, top + 1)]
    )
    assert both.max() > 10  # roundings: 1e-10 is 5e5 of them, and sizes of trees differ by less than that


@pytest.mark.parametrize("spoiled", np.flatnonzero(VERNER_E))
def test_a_wrong_digit_of_a_weight_is_seen(spoiled: int) -> None:
    wrong = VERNER_E.copy()
    wrong[spoiled] *= 1 + 1e-10
    assert max(misses(VERNER_B - wrong, order).max() for order in range(1, 7)) > 10  # see above


def test_explicit_and_its_last_argument() -> None:
    assert (VERNER_A[np.triu_indices(10)] == 0).all()
    assert abs(VERNER_A[LAST].sum() - 1) < 10 * EPS * np.abs(VERNER_A[LAST]).sum()  # ten roundings of its terms


def test_edge_of_stability() -> None:
    """|R(-x)| <= 1 up to STABILITY and beyond 1 after it, to the digits it is given with."""
    R = lambda x: 1 - x * (VERNER_B @ np.linalg.solve(np.eye(10) + x * VERNER_A, np.ones(10)))  # noqa: E731
    inside = np.array([R(x) for x in np.linspace(1e-3, STABILITY - 0.005, 1000)])
    assert (np.abs(inside) < 1).all() and abs(R(STABILITY + 0.005)) > 1
