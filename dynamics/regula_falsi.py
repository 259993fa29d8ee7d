"""One bracketed root, step by step: Anderson and Björck's regula falsi (BIT 13, 1973), of order 1.7. Compiled.

    x = b - f_b (b - a) / (f_b - f_a);  then (a, f_a) <- (b, f_b) where the sign changed between b and x, else
    f_a <- f_a (1 - f_x/f_b), or f_a/2 where that factor is not positive;  (b, f_b) <- (x, f_x)

The caller evaluates f between the two, as only it knows how; f_a and f_b differ in sign throughout.
"""

from __future__ import annotations

from dynamics.machine_code import kept_jit


@kept_jit(nogil=True, error_model="numpy")
def proposed(a, fa, b, fb):
    """Where to evaluate f next: the secant's root, or the middle where rounding puts that outside the bracket."""
    x = b - fb * (b - a) / (fb - fa)
    return x if a <= x <= b or b <= x <= a else 0.5 * (a + b)


@kept_jit(nogil=True, error_model="numpy")
def narrowed(a, fa, b, fb, x, fx):
    """The bracket (a, f_a, b, f_b) after f(x) = fx was seen."""
    if (fx < 0.0) != (fb < 0.0):
        return b, fb, x, fx
    return a, fa * (1.0 - fx / fb if fx / fb < 1.0 else 0.5), x, fx
