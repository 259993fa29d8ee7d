"""Laws of limits: what a claim's slack still allows falls exactly as the flow's own rest does. A slower law would excuse what
does not converge; and the claims' own conditions ask it whether t_end is long enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from derivations.registry import CLAIMS
from dynamics.setting import Setting
from dynamics.simulate import flow

CLEAN = {"views__anchor": True}  # S = N: with two noisy views S = 2N, and the rest falls twice as fast as the law says
NEXT_ORDER = 0.07  # of the exponent: what the next order of the flow about its rest leaves of it at these times
LAWS: tuple[tuple[str, dict[str, Any], float, int], ...] = (  # claim, changes of its base, T, power
    ("naive-collapse", CLEAN, 8.0, 2),
    ("invariance-kernel", CLEAN, 8.0, 2),
    ("invariance-singular-values", CLEAN, 8.0, 2),
    ("byol-fixed-point", {}, 10.0, 4),  # a law of e^{-rT/4}
    ("byol-aligned-limit", {"network__p0": 1.0}, 10.0, 2),  # from above its end, where the least rate is the last
    ("byol-aligned-limit", {"network__p0": 1.5, "network__w0": 0.4}, 10.0, 1),  # dies: PWA - WCᵀ falls like w, not w²
    ("byol-survival", {}, 15.0, 2),
    ("byol-survival", {"training__eta": 0.15, "network__w0": 0.001}, 30.0, 2),  # from below the saddle
    ("byol-turning", {}, 10.0, 2),
    ("byol-condition-predictor", {}, 8.0, 2),
    ("tian-no-predictor", {}, 8.0, 2),
    ("tian-no-predictor", {"training__eta": 0.25}, 8.0, 2),
    ("tian-non-isotropic-manifold", {}, 15.0, 2),
    ("tian-fixed-points", {}, 15.0, 2),
    ("tian-fixed-points", {"training__eta": 0.1}, 15.0, 2),
    ("tian-trivial-basin", {"network__w0": 0.01}, 20.0, 2),
    ("tian-ema-fixed-point", {}, 20.0, 2),
    ("tian-ema-fixed-point", {"training__beta": 0.05}, 40.0, 2),  # where the target is the slower of the two
    ("tian-ema-fixed-point", {"training__eta": 0.0}, 20.0, 2),
    ("tian-basin-sides", {"network__p0": 0.6, "network__w0": 0.8}, 30.0, 2),
    ("tian-basin-sides", {"network__p0": 0.005, "network__w0": 0.003}, 30.0, 2),
)


@pytest.mark.parametrize(("name", "changes", "T", "power"), LAWS)
def test_the_rest_falls_by_the_law(name: str, changes: dict[str, Any], T: float, power: int) -> None:
    """slack = e^{-rate T / 2}, so from T to 2T the rest falls by the square of what the slack does."""
    claim = CLAIMS[name]
    residual, slack = claim.residual, claim.slack
    assert residual is not None and slack is not None

    def rest(setting: Setting) -> float:
        return float(np.abs(residual(flow(setting))).max())

    early, late = (claim.base.replace(**changes, training__t_end=t) for t in (T, 2 * T))
    exponent = np.log(rest(late) / rest(early)) / np.log(slack(late) / slack(early))
    assert exponent == pytest.approx(power, rel=NEXT_ORDER)
