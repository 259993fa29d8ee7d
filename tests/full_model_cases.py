"""Settings of the linear and the deep rungs that several tests train."""

from __future__ import annotations

from dynamics.setting import GaussianViews, Network, Setting, Training
from full_models.deep_settings import DEEP

LINEAR = Setting(
    views=GaussianViews((1.0, 0.7, 0.4), (0.2, 0.3, 0.1), angle=0.4, twist=0.5),
    network=Network(k=2),
    training=Training(t_end=2.0, points=3, eta=0.05, alpha_p=1.5, beta=0.7, lr=0.02, batch=16),
    seed=3,
)
DEEP_SMALL = DEEP["simsiam-mlp"].replace(views__count=64, training__t_end=1.0, training__points=3)
