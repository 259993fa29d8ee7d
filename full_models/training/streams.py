"""Random numbers by address: one generator for each (seed, purpose, step), never one that runs along.

A step's draws depend on the step's number alone, so a resumed run needs no generator state to repeat the killed one.
"""

from __future__ import annotations

import numpy as np
import torch

PURPOSES = ("start", "order", "views", "loss", "measure", "probe")


def stream(seed: int, purpose: str, *index: int, device: str | torch.device = "cpu") -> torch.Generator:
    """The generator at (seed, purpose, *index), on the device. Different addresses: independent streams."""
    sequence = np.random.SeedSequence([seed, PURPOSES.index(purpose), *index])
    return torch.Generator(device).manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
