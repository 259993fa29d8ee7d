"""What the claims on the invariance loss share: the domains of their starts and views."""

from __future__ import annotations

from derivations.assumption import Interval
from derivations.common import INVARIANCE, ROTATIONS, SPECTRA, STARTS

SHORT = INVARIANCE.replace(training__t_end=2.0, training__lr=0.01)
ANY_START = {**SPECTRA, **ROTATIONS, **STARTS}
CLEAN = {"views.twist": (0.0,), "views.angle": Interval(0.0, 1.5), "views.anchor": (False, True)}
