"""RKL2, the stabilised method for stiff spectra, and the spectral radius that its number of stages follows. Compiled.

Sources: Meyer, Balsara & Aslam, J. Comput. Phys. 257 (2014) 594 (RKL2, its letters b, mu, nu, gamma); Sommeijer, Shampine &
Verwer, J. Comput. Appl. Math. 88 (1998) 315 (step control and power iteration of their RKC, which was measured too and
lost: see `stabilised_step`).
"""

from __future__ import annotations

import numpy as np

from dynamics.matrix_explicit import copy, norm
from dynamics.matrix_field import compiled, velocity

EPS = 2.0**-52


@compiled
def stages_for(h, rho):
    """The least odd s with h rho <= (s² + s - 2)/2; odd, because then the stability polynomial is near 0 at the far end."""
    s = max(3, int(np.ceil((np.sqrt(9 + 8 * h * rho) - 1) / 2)))
    return s + 1 - s % 2


@compiled
def stabilised_step(p, y, h, s, f0, y_new, before, f):
    """One RKL2 step with s >= 3 stages, f0 = f(y): y_new. Order 2; stable for h rho <= (s² + s - 2)/2. s - 1 evaluations.

    Its stability polynomial is 1 - b + b P_s, P_s Legendre's: inside it damps by half, so that it also bears eigenvalues
    well off the real axis, where Chebyshev's (RKC) with its usual small damping does not.
    """
    w = 4 / (s * s + s - 2)
    b_far = b_near = 1 / 3  # b_j = (j² + j - 2) / (2 j (j + 1)), b_0 = b_1 = b_2
    far, near = before, y_new
    for i in range(len(y)):
        far[i] = y[i]
        near[i] = y[i] + b_near * w * h * f0[i]
    for j in range(2, s + 1):
        b = (j * j + j - 2) / (2 * j * (j + 1))
        mu, nu = (2 * j - 1) / j * b / b_near, -(j - 1) / j * b / b_far
        rest, mu_h, gamma_h = 1 - mu - nu, mu * w * h, -(1 - b_near) * mu * w * h
        velocity(p, near, f)
        for i in range(len(y)):
            far[i] = mu * near[i] + nu * far[i] + rest * y[i] + mu_h * f[i] + gamma_h * f0[i]
        far, near = near, far
        b_far, b_near = b_near, b
    if s % 2 == 0:  # the last stage was written to `before`
        copy(before, y_new)


@compiled
def stabilised_error(y, y_new, h, f0, f_new, rtol, atol):
    """RKL2's local error, y‴ h³/18 for many stages, over the tolerance; from the trapezoidal residual y‴ h³/12."""
    total = 0.0
    for i in range(len(y)):
        e = (2 * (y[i] - y_new[i]) + h * (f0[i] + f_new[i])) / 3
        total += (e / (atol + rtol * max(abs(y[i]), abs(y_new[i])))) ** 2
    return np.sqrt(total / len(y))


@compiled
def hermite_output(y, y_new, h, f0, f_new, x, out):
    """y at the share x of a step from both ends and their rates, order 3, into out."""
    for i in range(len(y)):
        rise = y_new[i] - y[i]
        bend = (1 - 2 * x) * rise + h * ((x - 1) * f0[i] + x * f_new[i])
        out[i] = y[i] + x * rise + x * (x - 1) * bend


@compiled
def spectral_radius(p, y, f0, direction, buffer, f):
    """(rho, evaluations): |largest eigenvalue| of the Jacobian at y by power iteration on differences of the field.

    direction: where the last call ended (0: start along f0), kept for the next. To 1 % or 50 iterations.
    """
    n = len(y)
    length = norm(direction)
    if length == 0.0:
        for i in range(n):
            direction[i] = f0[i] + EPS * (1 + i % 7) * (1 + abs(y[i]))  # never exactly in an invariant subspace
        length = norm(direction)
    delta = np.sqrt(EPS) * max(norm(y), EPS)
    rho = 0.0
    for count in range(1, 51):
        x = delta / length
        for i in range(n):
            buffer[i] = y[i] + x * direction[i]
        velocity(p, buffer, f)
        last, total = rho, 0.0
        for i in range(n):
            direction[i] = f[i] - f0[i]
            total += direction[i] ** 2
        length = np.sqrt(total)
        rho = length / delta
        if length == 0.0 or (count > 1 and abs(rho - last) <= 0.01 * rho):
            return rho, count
    return rho, 50


@compiled
def stabilised_growth(error, previous, h, h_previous):
    """Factor from an accepted step to the next; it looks one step back and predicts, as RKC does. h_previous 0: none."""
    plain = 0.8 * max(error, 1e-12) ** (-1 / 3)
    predicted = plain * h / h_previous * (max(previous, 1e-12) / max(error, 1e-12)) ** (1 / 3)
    return min(3.0, max(0.1, predicted if h_previous > 0.0 else plain))
