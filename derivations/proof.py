"""Step: one line of a proof, checked by sympy on its own, with a wrong twin that must not pass.

A step is an expression that must simplify to 0. One that sympy cannot simplify is "unproved", never "false".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True)
class Step:
    """says: the line in words or LaTeX. zero() must simplify to 0; wrong() is the mutated line and must not.

    Both may return an Expr, or a bool where the step is an exact decision (of a finite case, of a sign under assumptions).
    at: where the line was expanded at one size only (say "N = 3"): evidence there, which completes no proof.
    """

    says: str
    zero: Callable[[], sp.Basic | bool]
    wrong: Callable[[], sp.Basic | bool]
    at: str = ""


@dataclass(frozen=True)
class StepResult:
    """decided: False where sympy gave up on the line or its twin, so that neither says anything."""

    says: str
    proved: bool
    mutation_rejected: bool
    note: str = ""
    decided: bool = True

    @property
    def idle(self) -> bool:
        """True if the mutated line passes too: a check of nothing, whatever the line itself does."""
        return self.decided and not self.mutation_rejected


def is_zero(value: sp.Basic | bool) -> bool:
    """True if sympy reduces the expression (or every entry of a matrix) to 0, or the decision is True."""
    if isinstance(value, bool) or value in (sp.true, sp.false):
        return bool(value)
    if isinstance(value, sp.MatrixBase):
        return all(is_zero(entry) for entry in value)
    expanded = sp.expand(value)
    return expanded == 0 or sp.simplify(expanded) == 0


def check(step: Step) -> StepResult:
    """Run one step and its mutation. An exception inside sympy leaves the step unproved, with the reason."""
    try:
        proved = is_zero(step.zero())
        rejected = not is_zero(step.wrong())
    except (TypeError, ValueError, NotImplementedError, ArithmeticError) as error:
        return StepResult(step.says, False, False, f"sympy could not decide: {error}", decided=False)
    note = "" if rejected else "the mutated line passes too, so this line proves nothing"
    if step.at:
        return StepResult(
            step.says, False, rejected, note or f"holds at {step.at}: evidence there, no proof in general"
        )
    unreduced = "" if proved else "sympy does not reduce it to 0: it is false, or beyond sympy"
    return StepResult(step.says, proved and rejected, rejected, note or unreduced)
