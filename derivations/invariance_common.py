"""What the claims on the invariance loss share: the domains of their starts and views."""

from __future__ import annotations

from derivations.common import INVARIANCE, ROTATIONS, SPECTRA, STARTS

SHORT = INVARIANCE.replace(training__t_end=2.0, training__lr=0.01)
ANY_START = {**SPECTRA, **ROTATIONS, **STARTS}
