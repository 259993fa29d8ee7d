"""Coefficients of the two one-step methods that the compiled ensembles use. Exact numbers of the literature.

DOP853: explicit, order 8 with error estimators of orders 5 and 3, from scipy's own table (Hairer, Nørsett, Wanner,
Solving ODEs I, 2nd ed., section II.5). RODAS: Rosenbrock, order 4(3), L-stable and stiffly accurate (Hairer, Wanner,
Solving ODEs II, 2nd ed., section IV.7), autonomous form. tests/test_ensemble.py measures the orders of both.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import DOP853

DOP853_A = np.array(DOP853.A)  # (12, 12) strictly lower: k_i = f(y + h Σ_j a_ij k_j)
DOP853_B = np.array(DOP853.B)  # (12,): y + h Σ b_i k_i, order 8
DOP853_E5 = np.array(DOP853.E5)[:12]  # (12,) the two embedded errors; the entry of the 13th stage is zero in both
DOP853_E3 = np.array(DOP853.E3)[:12]

# (1/(h gamma) - J) u_i = f(y + Σ_j a_ij u_j) + Σ_j c_ij u_j / h;  the sixth argument plus u_6 is the step, u_6 its error
RODAS_GAMMA = 0.25
RODAS_A = (
    (),
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0),
)
RODAS_C = (
    (),
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
)
