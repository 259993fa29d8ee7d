"""What the claims of the note's section 3.3 share: domains, the moments of a Run."""

from __future__ import annotations

import numpy as np

from derivations.assumption import Interval, Spectrum
from derivations.common import PREDICTOR
from dynamics.run import Array, Run
from dynamics.setting import Setting
from dynamics.views import moments

LONG = PREDICTOR.replace(training__t_end=64.0, training__points=17, training__lr=0.1)
PREDICTORS = {"network.p0": Interval(0.2, 1.2), "training.alpha_p": (1.0, 0.5, 2.0)}
STRONG = {"views.signal": Spectrum(0.5, 1.0), "views.noise": Spectrum(0.0, 0.5), "d": (1, 2, 3), "network.k": (1, 2, 3)}


def moments_of(run: Run) -> tuple[Array, Array, Array]:
    """(A, B, C) of the Run's views, each (d, d)."""
    m = moments(run.setting)
    return m.A, m.B, m.C


def unpredicted(setting: Setting) -> Array:
    """Eigenvalues (d,), rising, of B - CᵀA⁻¹C: the second moment of what no linear map of x predicts of x⁺."""
    m = moments(setting)
    rest = m.B - m.C.T @ np.linalg.pinv(m.A, hermitian=True) @ m.C
    return np.asarray(np.linalg.eigvalsh(rest), dtype=np.float64)
