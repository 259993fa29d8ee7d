"""Value, gradient and Hessian of a torch loss at given embeddings, by autograd. Exact up to float64 rounding."""

from __future__ import annotations

import numpy as np
import torch

from dynamics.points import unit_points
from dynamics.run import Run
from dynamics.setting import PointViews, Setting, SettingError
from full_models.losses.contrastive import nt_xent


def at_point(setting: Setting) -> Run:
    """NT-Xent at the Setting's points as a Run with R = T = 1, source "descent" (what a gradient step would see).

    obs: z, z_plus (n, d); loss (); gradient (2n, d) and hessian_eigenvalues (2nd,), rising, with respect to the raw
    embeddings that the loss normalises. Raises SettingError for other losses or views.
    """
    if not isinstance(setting.views, PointViews) or setting.objective.loss != "nt_xent":
        raise SettingError("at_point evaluates objective.loss nt_xent on views of kind points")
    z, z_plus = unit_points(setting, setting.views)
    n, d = z.shape
    point = torch.tensor(np.concatenate([z, z_plus]), dtype=torch.float64)

    def loss(u: torch.Tensor) -> torch.Tensor:
        return nt_xent(u[:n], u[n:], tau=setting.objective.temperature)

    gradient = torch.func.grad(loss)(point)
    hessian = torch.func.hessian(loss)(point).reshape(2 * n * d, 2 * n * d)
    eigenvalues = torch.linalg.eigvalsh((hessian + hessian.T) / 2)
    obs = {"z": z, "z_plus": z_plus, "loss": loss(point).numpy(), "gradient": gradient.numpy(),
           "hessian_eigenvalues": eigenvalues.numpy()}  # fmt: skip
    return Run(setting, "descent", np.zeros(1), {k: np.asarray(v)[None, None] for k, v in obs.items()})
