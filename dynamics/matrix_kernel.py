"""Compiled stepping for matrix flows: DOP853 while the flow is mild, RKL2 while it is stiff, each member its own step.

One state is y (n,) = the *transposes* [Wᵀ | Vᵀ | Pᵀ] end to end ([Wᵀ | Pᵀ] where V = W), in a basis of the inputs in
which A = diag(a). Then [Vᵀ; Pᵀ] is one contiguous (d+k, k) matrix, and of the eight products of the flow as printed
four remain, in three calls, every result in place:

    Gᵀ = [C | -a∘Wᵀ] [Vᵀ; Pᵀ]    dWᵀ = Gᵀ P - eta Wᵀ    dPᵀ = alpha_p W Gᵀ - eta_p Pᵀ    dVᵀ = beta (Wᵀ - Vᵀ)

and three where C = diag(c) too. Everything here is called through `dynamics.matrix_flow`, which says what it means.

Sources: Hairer, Nørsett & Wanner, Solving ODEs I, II.5 (DOP853; coefficients from scipy); Meyer, Balsara & Aslam, J. Comput.
Phys. 257 (2014) 594 (RKL2, its letters b, mu, nu, gamma); Sommeijer, Shampine & Verwer, J. Comput. Appl. Math. 88 (1998) 315
(step control and power iteration of their RKC, which was measured too and lost: see `stabilised_step`).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.integrate import DOP853

PREDICTOR, INFO_NCE, INFO_NCE_SAMPLES = 0, 1, 2  # whose velocity
AUTO, EXPLICIT, STABILISED = 0, 1, 2  # how to step
DONE, BLEW_UP, TOO_MANY, TOO_SMALL = 0, 1, 2, 3  # how it ended
STATUS, EVALUATIONS, STEPS, STABLE_STEPS, RADIUS, SWITCH, WHEN = range(7)  # columns of the statistics, one row a member

STAGES, ORDER, EXTRA = 12, 8, 3
# Stage weights (the row of the step itself after the stages'), those of the extra stages, errors of order 5 and 3, dense
# output. An argument of every function that needs it: as constants they would be unrolled, at 10 s of compilation.
TABLEAU = (np.vstack([DOP853.A[:STAGES, :STAGES], DOP853.B]), DOP853.A_EXTRA, DOP853.E5, DOP853.E3, DOP853.D)
REAL_INTERVAL = 6.1  # DOP853 is stable for -6.1 < h lambda < 0 (Hairer's own threshold for stiffness)
BLOCK = 1024  # entries combined at a time: 8 kB a row, so that the running sum stays in the first cache
EPS = 2.0**-52
SAFETY = 1.1  # on the measured radius, which approaches the true one from below
RENEW = 25  # accepted RKL2 steps for which a measured radius serves
FIRST_LOOK, LOOK_EVERY = 20, 20  # accepted steps before AUTO measures the radius, and between
TRIAL = 8  # accepted RKL2 steps after which their cost is compared

FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums may be reordered and fused; NaN and infinity keep their meaning
_jit = njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)


@_jit
def velocity(p, y, dy):
    """dy <- the field at y. p = (kind, k, d, ema, a, c, rates, X, X⁺, Q, Gᵀ, stack, scores); Q[:, :d] holds C or Q is (d, k)."""
    if p[0] == PREDICTOR:
        _predictor(p, y, dy)
    elif p[0] == INFO_NCE:
        _info_nce(p, y, dy)
    else:
        _info_nce_samples(p, y, dy)


@_jit
def _predictor(p, y, dy):
    _, k, d, ema, a, c, rates, _, _, Q, G, _, _ = p
    alpha_p, eta, eta_p, beta = rates[0], rates[1], rates[2], rates[3]
    kd, v = k * d, (k * d if ema else 0)  # where Vᵀ begins
    W, V, P = y[:kd].reshape(d, k), y[v : v + kd].reshape(d, k), y[v + kd :].reshape(k, k)
    dW, dP = dy[:kd].reshape(d, k), dy[v + kd :].reshape(k, k)
    left = Q.shape[1] - k  # d where C fills the left of Q, 0 where A and C commute
    for i in range(d):
        for j in range(k):
            Q[i, left + j] = -a[i] * W[i, j]
    if left:
        np.dot(Q, y[v:].reshape(d + k, k), G)
    else:
        np.dot(Q, P, G)
        for i in range(d):
            for j in range(k):
                G[i, j] += c[i] * V[i, j]
    np.dot(G, P.T, dW)
    np.dot(W.T, G, dP)
    if eta != 0.0:
        for i in range(kd):
            dy[i] -= eta * y[i]
    for i in range(v + kd, len(y)):
        dy[i] = alpha_p * dy[i] - eta_p * y[i]
    if ema:
        for i in range(kd):
            dy[kd + i] = beta * (y[i] - y[kd + i])


@_jit
def _info_nce(p, y, dy):
    """dWᵀ = (2/tau) [C | -A Wᵀ/tau] [Wᵀ; W A Wᵀ]: minus the gradient for Gaussian views and infinitely many samples."""
    _, k, d, _, a, c, rates, _, _, Q, G, stack, _ = p
    tau = rates[0]
    W, dW = y.reshape(d, k), dy.reshape(d, k)
    left = Q.shape[1] - k
    for i in range(d):
        for j in range(k):
            G[i, j] = a[i] * W[i, j]
            Q[i, left + j] = -G[i, j] / tau
    if left:
        copy(y, stack.reshape(-1))
        np.dot(W.T, G, stack[d:])
        np.dot(Q, stack, dW)
    else:
        np.dot(W.T, G, stack)
        np.dot(Q, stack, dW)
        for i in range(d):
            for j in range(k):
                dW[i, j] += c[i] * W[i, j]
    for i in range(len(y)):
        dy[i] *= 2 / tau


@_jit
def _info_nce_samples(p, y, dy):
    """Minus the gradient of -(1/N) Σ_i log softmax_i(Z Z⁺ᵀ / tau)_i with Z = X Wᵀ: -[Xᵀ E Z⁺ + X⁺ᵀ Eᵀ Z], E = (softmax - I)/(N tau)."""
    _, k, d, _, _, _, rates, X, X_plus, _, G, stack, scores = p
    N, tau = len(X), rates[0]
    W, dW = y.reshape(d, k), dy.reshape(d, k)
    Z, Z_plus, T = stack[:N], stack[N : 2 * N], stack[2 * N :]
    np.dot(X, W, Z)
    np.dot(X_plus, W, Z_plus)
    np.dot(Z, Z_plus.T, scores)
    for i in range(N):
        top, total = scores[i, 0], 0.0
        for j in range(1, N):
            top = max(top, scores[i, j])
        for j in range(N):
            scores[i, j] = np.exp((scores[i, j] - top) / tau)
            total += scores[i, j]
        for j in range(N):
            scores[i, j] /= -total * N * tau
        scores[i, i] += 1 / (N * tau)
    np.dot(scores, Z_plus, T)
    np.dot(X.T, T, dW)
    np.dot(scores.T, Z, T)
    np.dot(X_plus.T, T, G)
    for i in range(d):
        for j in range(k):
            dW[i, j] += G[i, j]


@_jit
def copy(x, out):  # slice assignment would do, and takes seconds to compile
    for i in range(len(x)):
        out[i] = x[i]


@_jit
def norm(x):
    total = 0.0
    for i in range(len(x)):
        total += x[i] * x[i]
    return np.sqrt(total)


@_jit
def combine(out, y, h, row, K):
    """out <- y + h Σ_j row[j] K[j], zeros of the row skipped, one pass over memory."""
    n = len(y)
    for lo in range(0, n, BLOCK):
        part, start = out[lo : lo + BLOCK], y[lo : lo + BLOCK]  # views: an index from `lo` on would not vectorise
        for i in range(len(part)):
            part[i] = start[i]
        for j in range(len(row)):
            if row[j] != 0.0:
                x, rate = h * row[j], K[j, lo : lo + BLOCK]
                for i in range(len(part)):
                    part[i] += x * rate[i]


@_jit
def explicit_step(p, tableau, y, h, K, y_new):
    """One DOP853 step of size h from y with K[0] = f(y): y_new, and K[12] = f(y_new). 12 evaluations."""
    for s in range(1, STAGES + 1):
        combine(y_new, y, h, tableau[0][s, :s], K)
        velocity(p, y_new, K[s])


@_jit
def explicit_error(tableau, y, y_new, h, K, rtol, atol):
    """DOP853's error over the tolerance (accept at <= 1), its two estimators of order 5 and 3 blended as in scipy."""
    n, rows5, rows3 = len(y), tableau[2], tableau[3]
    e5, e3 = 0.0, 0.0
    x5, x3 = np.empty(BLOCK), np.empty(BLOCK)
    for lo in range(0, n, BLOCK):
        start, stop = y[lo : lo + BLOCK], y_new[lo : lo + BLOCK]
        for i in range(len(start)):
            x5[i] = x3[i] = 0.0
        for j in range(STAGES):
            if rows5[j] != 0.0 or rows3[j] != 0.0:
                rate, r5, r3 = K[j, lo : lo + BLOCK], rows5[j], rows3[j]
                for i in range(len(start)):
                    x5[i] += r5 * rate[i]
                    x3[i] += r3 * rate[i]
        for i in range(len(start)):
            before, after = abs(start[i]), abs(stop[i])
            share = 1 / (atol + rtol * (before if before > after else after))
            e5 += (x5[i] * share) ** 2
            e3 += (x3[i] * share) ** 2
    return abs(h) * e5 / np.sqrt((e5 + 0.01 * e3) * n) if e5 > 0.0 else e5 + e3


@_jit
def _extra_stages(p, tableau, y, h, K, buffer):
    for s in range(EXTRA):
        combine(buffer, y, h, tableau[1][s, : STAGES + 1 + s], K)
        velocity(p, buffer, K[STAGES + 1 + s])


@_jit
def _explicit_output(tableau, y, y_new, h, K, x, out):
    """DOP853's interpolant of order 7 at the share x of the step; needs the extra stages."""
    for i in range(len(y)):
        rise = y_new[i] - y[i]
        first = h * K[0, i] - rise
        value = 0.0
        for m in range(3, -1, -1):
            term = 0.0
            for j in range(STAGES + 1 + EXTRA):
                term += tableau[4][m, j] * K[j, i]
            value = (value + h * term) * (x if m % 2 else 1 - x)
        value = (value + 2 * rise - h * (K[STAGES, i] + K[0, i])) * x
        value = (value + first) * (1 - x)
        out[i] = y[i] + (value + rise) * x


@_jit
def stages_for(h, rho):
    """The least odd s with h rho <= (s² + s - 2)/2; odd, because then the stability polynomial is near 0 at the far end."""
    s = max(3, int(np.ceil((np.sqrt(9 + 8 * h * rho) - 1) / 2)))
    return s + 1 - s % 2


@_jit
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


@_jit
def _stabilised_error(y, y_new, h, f0, f_new, rtol, atol):
    """RKL2's local error, y‴ h³/18 for many stages, over the tolerance; from the trapezoidal residual y‴ h³/12."""
    total = 0.0
    for i in range(len(y)):
        e = (2 * (y[i] - y_new[i]) + h * (f0[i] + f_new[i])) / 3
        total += (e / (atol + rtol * max(abs(y[i]), abs(y_new[i])))) ** 2
    return np.sqrt(total / len(y))


@_jit
def _hermite_output(y, y_new, h, f0, f_new, x, out):
    for i in range(len(y)):
        rise = y_new[i] - y[i]
        bend = (1 - 2 * x) * rise + h * ((x - 1) * f0[i] + x * f_new[i])
        out[i] = y[i] + x * rise + x * (x - 1) * bend


@_jit
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


@_jit
def _first_step(p, y, f0, buffer, f, rtol, atol, order):
    """Hairer's starting step: from the sizes of y, f and f' over the tolerance. 1 evaluation."""
    n = len(y)
    d0, d1 = 0.0, 0.0
    for i in range(n):
        scale = atol + rtol * abs(y[i])
        d0 += (y[i] / scale) ** 2
        d1 += (f0[i] / scale) ** 2
    d0, d1 = np.sqrt(d0 / n), np.sqrt(d1 / n)
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
    for i in range(n):
        buffer[i] = y[i] + h0 * f0[i]
    velocity(p, buffer, f)
    d2 = 0.0
    for i in range(n):
        d2 += ((f[i] - f0[i]) / (atol + rtol * abs(y[i]))) ** 2
    d2 = np.sqrt(d2 / n) / h0
    steep = max(d1, d2)
    h1 = max(1e-6, h0 * 1e-3) if steep <= 1e-15 else (0.01 / steep) ** (1 / order)
    return min(100 * h0, h1)


@_jit
def _sound(y, limit):
    """Finite and below the limit; a sum of squares would overflow before it told."""
    for i in range(len(y)):  # noqa: SIM110  compiled code has no generators
        if not abs(y[i]) <= limit:
            return False
    return True


@_jit
def _try_step(p, tableau, stable, y, h, K, work, rtol, atol, rho):
    """(error over tolerance, h tried, evaluations): y_new = work[0] and its rate K[12], by either method."""
    if not stable:
        explicit_step(p, tableau, y, h, K, work[0])
        return explicit_error(tableau, y, work[0], h, K, rtol, atol), h, STAGES
    s, most = stages_for(h, SAFETY * rho), max(3, int(np.sqrt(rtol / (10 * EPS))))
    if s > most:  # rounding grows as s² inside a step, and would exceed rtol
        s, h = most, (most * most + most - 2) / (2 * SAFETY * rho)
    stabilised_step(p, y, h, s, K[0], work[0], work[1], work[2])
    velocity(p, work[0], K[STAGES])
    return _stabilised_error(y, work[0], h, K[0], K[STAGES], rtol, atol), h, s


@_jit
def _write(p, tableau, stable, y, h, K, work, t, out, now, ahead):
    """(outputs written, evaluations): out[i] <- y(t[i]) for the t in (now, ahead], by the method's own interpolant."""
    written, evaluations = 0, 0
    while written < len(t) and t[written] <= ahead:
        x = (t[written] - now) / h
        if t[written] == ahead:
            copy(work[0], out[written])
        elif stable:
            _hermite_output(y, work[0], h, K[0], K[STAGES], x, out[written])
        else:
            if evaluations == 0:
                _extra_stages(p, tableau, y, h, K, work[2])
                evaluations = EXTRA
            _explicit_output(tableau, y, work[0], h, K, x, out[written])
        written += 1
    return written, evaluations


@_jit
def _growth(stable, error, previous, h, h_previous):
    """Factor from an accepted step to the next; RKL2's looks one step back and predicts, as RKC does."""
    if not stable:
        return min(10.0, 0.9 * max(error, 1e-12) ** (-1 / ORDER))
    plain = 0.8 * max(error, 1e-12) ** (-1 / 3)
    predicted = plain * h / h_previous * (max(previous, 1e-12) / max(error, 1e-12)) ** (1 / 3)
    return min(3.0, max(0.1, predicted if h_previous > 0.0 else plain))


@_jit
def advance(p, tableau, y, t, out, K, work, rtol, atol, method, limit, most, stats):
    """One member from t[0] over all of t: out[i] <- y(t[i]); y is overwritten, stats (7,) filled.

    K (16, n) stages; work (4, n). AUTO measures rho every few steps: where h rho shows that stability and not error
    holds DOP853's step, RKL2 gets a trial, and stays while its evaluations per unit time are the fewer.
    """
    stable, f, direction = method == STABILISED, work[2], work[3]
    for i in range(len(y)):
        direction[i] = 0.0
    copy(y, out[0])
    velocity(p, y, K[0])
    now, end, i_out, status = t[0], t[-1], 1, DONE
    h = _first_step(p, y, K[0], work[0], f, rtol, atol, 3.0 if stable else 8.0)
    evaluations, steps, stable_steps, largest, switch = 2, 0, 0, 0.0, now if stable else np.inf
    rho, age, run, look, patience, spent, since = 0.0, RENEW, 0, FIRST_LOOK, LOOK_EVERY, 0, now
    rejected, previous, h_previous = False, 1.0, 0.0
    while i_out < len(t) and status == DONE:
        h = min(h, end - now)
        if stable and age >= RENEW:
            rho, count = spectral_radius(p, y, K[0], direction, work[1], f)
            evaluations, age, largest = evaluations + count, 0, max(largest, rho)
        error, h, count = _try_step(p, tableau, stable, y, h, K, work, rtol, atol, rho)
        evaluations, spent = evaluations + count, spent + count
        if not error <= 1.0:
            if stable:
                age = RENEW if age > 0 else 0  # perhaps the radius grew
            h *= max(0.1, 0.8 * error ** (-1 / (3 if stable else ORDER))) if error < np.inf else 0.1
            if h < 10 * EPS * max(abs(now), EPS):
                status = (
                    TOO_SMALL if _sound(y, 100 * (1 + norm(out[0]))) else BLEW_UP
                )  # a pole stops the clock before the limit
            rejected = True
        elif not _sound(work[0], limit):
            status = BLEW_UP
        else:
            ahead = end if h >= end - now else now + h
            written, count = _write(p, tableau, stable, y, h, K, work, t[i_out:], out[i_out:], now, ahead)
            i_out, evaluations, now = i_out + written, evaluations + count, ahead
            copy(work[0], y)
            copy(K[STAGES], K[0])
            factor = _growth(stable, error, previous, h, h_previous)
            steps, stable_steps, run, age = steps + 1, stable_steps + int(stable), run + 1, age + 1
            previous, h_previous = error, h
            h *= min(1.0, factor) if rejected else factor
            rejected = False
            if method == AUTO and not stable and run >= look:
                rho, count = spectral_radius(p, y, K[0], direction, work[0], f)
                evaluations, look, largest = evaluations + count, run + LOOK_EVERY, max(largest, rho)
                if h_previous * rho > 0.5 * REAL_INTERVAL:
                    stable, age, run, spent, since, h_previous, switch = True, 0, 0, 0, now, 0.0, min(switch, now)
            elif method == AUTO and stable and run % TRIAL == 0:
                if spent > STAGES * rho / REAL_INTERVAL * (now - since):  # explicit steps would have cost less
                    stable, run, look, patience, h = False, 0, patience, 2 * patience, 0.9 * REAL_INTERVAL / rho
                spent, since = 0, now
        if evaluations > most and i_out < len(t) and status == DONE:
            status = TOO_MANY
    stats[STATUS], stats[EVALUATIONS], stats[STEPS], stats[STABLE_STEPS] = status, evaluations, steps, stable_steps
    stats[RADIUS], stats[SWITCH], stats[WHEN] = largest, switch, now


@_jit
def advance_all(tableau, kind, k, d, ema, a, c, C, rates, X, X_plus, y, t, out, rtol, atol, method, limit, most, stats):
    """Every member by `advance`, one workspace for all. a, c, C, rates (B, ...); y (B, n); out (B, T, n); stats (B, 7)."""
    n, N = y.shape[1], len(X)
    Q = np.zeros((d, C.shape[2] + k))
    G = np.empty((d, k))
    rows = 3 * N if kind == INFO_NCE_SAMPLES else (C.shape[2] + k if kind == INFO_NCE else 0)
    stack, scores = np.empty((rows, k)), np.empty((N, N))
    K, work = np.empty((STAGES + 1 + EXTRA, n)), np.empty((4, n))
    for b in range(len(y)):
        for i in range(d):
            for j in range(C.shape[2]):
                Q[i, j] = C[b, i, j]
        p = (kind, k, d, ema, a[b], c[b], rates[b], X, X_plus, Q, G, stack, scores)
        advance(p, tableau, y[b], t, out[b], K, work, rtol, atol, method, limit, most, stats[b])
