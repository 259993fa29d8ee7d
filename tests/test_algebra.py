"""The algebra of noncommutative symbols agrees with random matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from derivations.algebra import T, directional, matrix, rewrite, sum_of_squares, tr
from derivations.proof import is_zero

X, Y, Q = matrix("Xt"), matrix("Yt"), matrix("Qt", symmetric=True)  # names that no proof uses
LETTERS = (X, T(X), Y, T(Y), Q)
WORDS = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=6)
ROUNDING = 1e-11  # sums of words of <= 6 matrices of norm ~3: 3^6 times 1e-16, with room
N = 3


def matrices(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    M = {name: rng.standard_normal((N, N)) for name in ("Xt", "Yt", "Qt", "Ut", "Vt")}
    M["Qt"] = M["Qt"] + M["Qt"].T
    return M


def letter(name: str, M: dict[str, np.ndarray]) -> np.ndarray:
    return M[name[:-1]].T if name.endswith("ᵀ") else M[name.removesuffix("=")]  # "=" marks a symmetric letter


def value(expr: sp.Expr, M: dict[str, np.ndarray]) -> np.ndarray:
    """The matrix that an expression of noncommutative symbols stands for; numbers are its only scalars."""
    total = np.zeros((N, N), dtype=complex)
    for term in sp.Add.make_args(sp.expand(expr)):
        scalars, word = term.args_cnc()
        product = float(sp.Mul(*scalars)) * np.eye(N, dtype=complex)
        for factor in word:
            base, power = factor.as_base_exp()
            product = product @ np.linalg.matrix_power(letter(base.name, M), int(power))
        total += product if word else 0
    return total


def traced(expr: sp.Expr, M: dict[str, np.ndarray]) -> complex:
    """The number that an expression in tr(...) symbols stands for, each read back from its name."""
    numbers = {}
    for symbol in expr.free_symbols:
        product = np.eye(N, dtype=complex)
        for name in symbol.name.removeprefix("tr(").removesuffix(")").split(" "):
            product = product @ letter(name, M)
        numbers[symbol] = np.trace(product)
    return complex(expr.subs(numbers))


def same(a, b) -> bool:
    return bool(np.abs(np.asarray(a) - np.asarray(b)).max() <= ROUNDING * (1 + np.abs(np.asarray(b)).max()))


@given(WORDS, st.integers(0, 5), st.integers(0, 1000))
def test_trace_is_cyclic_transpose_invariant_and_the_trace(word: list[sp.Symbol], turn: int, seed: int) -> None:
    expr, M = sp.Mul(*word), matrices(seed)
    turned = sp.Mul(*(word[turn % len(word) :] + word[: turn % len(word)]))
    assert tr(expr) == tr(turned) == tr(T(expr))
    assert same(traced(tr(expr), M), np.trace(value(expr, M)))


@given(WORDS, WORDS, st.integers(0, 1000))
def test_words_of_different_trace_have_different_symbols(a: list[sp.Symbol], b: list[sp.Symbol], seed: int) -> None:
    M = matrices(seed)
    x, y = sp.Mul(*a), sp.Mul(*b)
    equal = same(np.trace(value(x, M)), np.trace(value(y, M)))
    assert (tr(x) == tr(y)) == equal  # generic real matrices of size 3: words of <= 6 letters of unequal trace differ


@given(WORDS, WORDS, st.integers(-3, 3), st.integers(0, 1000))
def test_transpose_reverses_products_and_is_linear(a: list[sp.Symbol], b: list[sp.Symbol], c: int, seed: int) -> None:
    M, x, y = matrices(seed), sp.Mul(*a), sp.Mul(*b)
    assert T(T(x)) == x
    assert sp.expand(T(x * y) - T(y) * T(x)) == 0
    assert same(value(T(x + c * y), M), value(x + c * y, M).T)
    assert same(traced(tr(x + c * y), M), np.trace(value(x + c * y, M)))


@given(WORDS, WORDS, st.integers(-3, 3), st.integers(0, 1000))
def test_directional_derivative_is_the_derivative(a: list[sp.Symbol], b: list[sp.Symbol], c: int, seed: int) -> None:
    """Complex step: Im f(M + ihU)/h is exact to rounding for polynomials, and ᵀ here conjugates nothing."""
    M, h = matrices(seed), 1e-30
    U, V = matrix("Ut"), matrix("Vt")
    moves: dict[sp.Symbol, sp.Expr] = {X: U * Y - T(X), Q: V + T(V)}
    expr = sp.Mul(*a) + c * sp.Mul(*b)
    moved = M | {s.name: M[s.name] + 1j * h * value(dM, M).real for s, dM in moves.items()}
    assert same(value(directional(expr, moves), M), value(expr, moved).imag / h)
    if not same(value(directional(expr, {X: U * Y}), M), value(directional(expr, moves), M)):
        wrong = directional(expr, {X: U * Y})  # a dropped velocity is a wrong derivative, and is seen
        assert not same(value(wrong, M), value(expr, moved).imag / h)


def test_derivative_of_the_trace_is_the_trace_of_the_derivative() -> None:
    U = matrix("Ut")
    loss = X * Q * T(X)
    assert is_zero(tr(directional(loss, {X: U})) - 2 * tr(U * Q * T(X)))
    assert not is_zero(tr(directional(loss, {X: U})) - tr(U * Q * T(X)))


def test_symmetric_matrices_are_their_transpose_and_others_are_not() -> None:
    assert T(Q) == Q
    assert T(X) != X
    assert tr(X * Y) != tr(X * T(Y))


def test_trace_of_a_pure_scalar_is_refused() -> None:
    assert tr(sp.Integer(0)) == 0
    with pytest.raises(ValueError, match="dimension"):
        tr(sp.Integer(2))


@given(WORDS, WORDS, st.integers(-3, 3), st.integers(0, 1000))
def test_rewriting_keeps_the_value_where_the_rule_holds(
    a: list[sp.Symbol], b: list[sp.Symbol], c: int, seed: int
) -> None:
    """U := c Y X stands for the word Y X: every number is the same before and after, and no word Y X is left."""
    M, U = matrices(seed), matrix("Ut")
    M["Ut"] = M["Yt"] @ M["Xt"] - c * M["Qt"]
    expr = sp.Mul(*a) + sp.Mul(*b)
    out = rewrite(expr, {Y * X: U + c * Q})
    assert same(value(out, M), value(expr, M))
    assert not any((Y, X) in itertools.pairwise(w) for w in letters_of(out))


def letters_of(expr: sp.Expr) -> list[tuple[sp.Symbol, ...]]:
    """The words of an expression, powers written out."""
    return [
        tuple(x.as_base_exp()[0] for x in term.args_cnc()[1] for _ in range(int(x.as_base_exp()[1])))
        for term in sp.Add.make_args(sp.expand(expr))
    ]


def test_rules_that_go_in_circles_are_refused() -> None:
    with pytest.raises(ValueError, match="for ever"):
        rewrite(X * Y, {X * Y: Y * X, Y * X: X * Y})


@pytest.mark.parametrize("inverse", [X**-1, X ** sp.Symbol("n"), (X + Y) ** 2 * X**-1])
def test_an_inverse_is_refused_where_words_are_read(inverse: sp.Expr) -> None:
    for use in (T, tr, lambda e: rewrite(e, {X * Y: Y})):
        with pytest.raises(ValueError, match="letter of its own"):
            use(inverse * Y)


@given(WORDS, st.integers(0, 1000))
def test_a_certificate_of_squares_is_the_number_it_says(word: list[sp.Symbol], seed: int) -> None:
    w, M = sp.Mul(*word), matrices(seed)
    expr = 2 * w * T(w) + (w - Q) * T(w - Q)
    assert sum_of_squares(expr, (2, w), (1, w - Q))
    assert traced(tr(expr), M).real >= 0
    assert not sum_of_squares(expr, (3, w), (1, w - Q))
    assert not sum_of_squares(-2 * w * T(w), (-2, w)), "a negative weight certifies nothing"
    assert not sum_of_squares(sp.Symbol("s", real=True) * w * T(w), (sp.Symbol("s", real=True), w)), (
        "nor one of no sign"
    )


def test_a_symmetric_matrix_elsewhere_leaves_a_plain_one_of_its_name_alone() -> None:
    plain = matrix("Zt")
    matrix("Zt", symmetric=True)
    assert T(plain) != plain
