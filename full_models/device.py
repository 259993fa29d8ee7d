"""Which devices torch can use here."""

from __future__ import annotations

import torch

from dynamics.setting import SettingError


def usable(device: str) -> str:
    """The device's name; raises SettingError if torch knows no such device or the GPU is absent."""
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        place = torch.device("meta")
    if place.type not in ("cpu", "cuda"):
        raise SettingError(f"device {device!r} is not known: use cpu or cuda")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise SettingError(
            f"device {device!r} is not there: torch sees {torch.cuda.device_count()} CUDA GPUs here; the same run works "
            "with device cpu"
        )
    return device
