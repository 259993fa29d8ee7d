"""Which devices torch can use here, and what their memory cannot hold."""

from __future__ import annotations

import torch

from dynamics import machine
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


def memory_of(place: torch.device) -> int:
    """Bytes of memory that this process may use, or the GPU's."""
    if place.type == "cuda":
        return torch.cuda.get_device_properties(place).total_memory
    return machine.memory()


def check_memory(needed: int, place: torch.device) -> None:
    """Raises MemoryError where so many bytes can never fit: Linux gives them all the same, and kills who writes to them."""
    if needed > (there := memory_of(place)):
        raise MemoryError(f"parameters need {needed / 2**30:.1f} GiB, and {place.type} has {there / 2**30:.1f}")
