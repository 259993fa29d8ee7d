"""Formulas of the report: MathML, or code where they cannot be read."""

from __future__ import annotations

from figures.formula import cut, mathml, prose


def test_formulas_are_mathml_or_code() -> None:
    assert "<math" in mathml(r"\frac{1}{2}\|W\|^2")
    assert mathml(r"\left( x").startswith("<code>")  # malformed
    assert mathml(r"\nosuchcommand x").startswith("<code>")  # unknown: no raw backslash is passed off as a formula
    assert cut(r"a,\ b\quad\left(c\quad d\right)") == ["a,", "b", r"\left(c\quad d\right)"]
    assert prose("words < words") == "words &lt; words"
    assert "<math" in prose("the rate $\\eta$ holds")
    assert prose(r"P^\top G=0\ \text{at rest}").count("<math") == 2  # cut before its words
