"""A loss under test: its definition, the symmetries it claims, and wrong definitions to tell apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

Oracle = Callable[..., Any]
REF = {"convention": "reference"}
ONE = {"exchange": False}


@dataclass(frozen=True)
class Case:
    name: str
    loss: Oracle
    oracle: Oracle
    least: int = 1  # samples needed
    exchange: bool = True  # the loss is the same with the views exchanged
    rotation: bool = True  # ... with both views rotated together
    permutation: bool = True  # ... with the samples of both views permuted together
    scale_free: bool = False  # ... with each view scaled
    spread: bool = False  # the formula has no derivative where a dimension is constant
    apart: bool = False  # ... or where the two views are equal
    mutants: dict[str, Oracle] = field(default_factory=dict)


def tensor(x: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(x, dtype=like.dtype, device=like.device)
