"""Matrices of any shape and size as noncommutative symbols: products, transposes, traces, derivatives. Exact.

sympy multiplies noncommutative symbols but knows no transpose of them and no cyclic trace. Here a matrix M is a symbol
and its transpose the symbol Mᵀ = `T(M)`; `tr` sends every word to one canonical commutative symbol, the same for a
word, its rotations and its transpose. What is 0 here is 0 for all dimensions; a column (vector) is a matrix too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import sympy as sp


def matrix(name: str, symmetric: bool = False) -> sp.Symbol:
    """A matrix symbol. A symmetric one (sympy's `hermitian`) equals its own transpose, and differs from a plain one of
    the same name: symmetry belongs to the symbol, not to the name."""
    return sp.Symbol(name, commutative=False, hermitian=True) if symmetric else sp.Symbol(name, commutative=False)


def T(expr: sp.Expr) -> sp.Expr:
    """Transpose: reverses every product; scalars stay."""
    expr = sp.expand(expr)
    if isinstance(expr, sp.Add):
        return sp.Add(*(T(term) for term in expr.args))
    scalars, word = expr.args_cnc() if not expr.is_Symbol or expr.is_commutative else ([], [expr])
    return sp.Mul(*scalars, *(_flip(x) for x in reversed(_letters(word))))


def tr(expr: sp.Expr) -> sp.Expr:
    """Trace, linear, cyclic and transpose-invariant; the trace of a scalar multiple of I must not be asked for."""
    expr = sp.expand(expr)
    if isinstance(expr, sp.Add):
        return sp.Add(*(tr(term) for term in expr.args))
    scalars, word = expr.args_cnc()
    letters = _letters(word)
    if not letters:
        if expr == 0:
            return sp.Integer(0)
        raise ValueError("the trace of a pure scalar depends on the dimension")
    names = [_label(x) for x in letters]
    back = [_label(_flip(x)) for x in reversed(letters)]
    rotations = [tuple(w[i:] + w[:i]) for w in (names, back) for i in range(len(w))]
    return sp.Mul(*scalars, sp.Symbol("tr(" + " ".join(min(rotations)) + ")"))


def directional(expr: sp.Expr, moves: dict[sp.Symbol, sp.Expr]) -> sp.Expr:
    """d/dε expr at ε = 0 where each symbol M (and Mᵀ) moves by ε·moves[M]: the product rule, word by word.

    Along a flow, moves are the velocities and the result is d/dt.
    """
    velocity = dict(moves)
    velocity.update({_flip(M): T(dM) for M, dM in moves.items()})
    expr = sp.expand(expr)
    total: sp.Expr = sp.Integer(0)
    for term in sp.Add.make_args(expr):
        scalars, word = term.args_cnc()
        letters = _letters(word)
        for i, x in enumerate(letters):
            if x in velocity:
                total += sp.Mul(*scalars, *letters[:i], velocity[x], *letters[i + 1 :])
    return sp.expand(total)


def rewrite(expr: sp.Expr, rules: Mapping[sp.Expr, sp.Expr | int]) -> sp.Expr:
    """The expression with each word of `rules` (say A v) replaced by what it equals (say a v), until none is left.

    Raises ValueError if the rules still apply after 100 rounds: they go in circles.
    """
    words = [(_letters(left.args_cnc()[1]), sp.sympify(right)) for left, right in rules.items()]
    for _ in range(100):
        terms = sp.Add.make_args(sp.expand(expr))
        replaced = [_replace_once(term, words) for term in terms]
        if all(new is None for new in replaced):
            return sp.expand(expr)
        expr = sp.Add(*(term if new is None else new for term, new in zip(terms, replaced, strict=True)))
    raise ValueError("these rules rewrite each other for ever")


def sum_of_squares(expr: sp.Expr, *squares: tuple[sp.Expr | int, sp.Expr]) -> bool:
    """True if tr expr = Σ weight ‖factor‖² (Frobenius) with every weight >= 0: a certificate that tr expr >= 0."""
    total = sp.Add(*(weight * tr(factor * T(factor)) for weight, factor in squares))
    same = sp.expand(tr(expr) - total) == 0
    return same and all(bool(sp.sympify(weight).is_nonnegative) for weight, _ in squares)


def _replace_once(term: sp.Expr, words: Sequence[tuple[list[sp.Symbol], sp.Expr]]) -> sp.Expr | None:
    """The term with the first word found in it replaced, None if it holds none of them."""
    scalars, word = term.args_cnc()
    letters = _letters(word)
    for left, right in words:
        n = len(left)
        for i in range(len(letters) - n + 1):
            if letters[i : i + n] == left:
                return sp.expand(sp.Mul(*scalars, *letters[:i], right, *letters[i + n :]))
    return None


def _letters(word: Iterable[sp.Basic]) -> list[sp.Symbol]:
    """A word with powers written out. Raises ValueError for an inverse: name it by a letter, with rules for `rewrite`."""
    out: list[sp.Symbol] = []
    for x in word:
        base, power = cast(sp.Expr, x).as_base_exp()
        if not (base.is_Symbol and power.is_Integer and power > 0):
            raise ValueError(f"{x} is no product of matrix symbols: name an inverse by a letter of its own")
        out.extend([cast(sp.Symbol, base)] * int(power))
    return out


def _flip(x: sp.Symbol) -> sp.Symbol:
    if x.is_hermitian:
        return x
    name = x.name[:-1] if x.name.endswith("ᵀ") else x.name + "ᵀ"
    return sp.Symbol(name, commutative=False)


def _label(x: sp.Symbol) -> str:
    return x.name + ("=" if x.is_hermitian else "")
