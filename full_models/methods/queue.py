"""A first-in, first-out queue of keys, the negatives of momentum contrast."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from full_models.methods.method import MethodError


class KeyQueue(nn.Module):
    """K keys (K, d); a batch of N replaces the N oldest, wrapping round the end, so K need not be a multiple of N.

    Starts full of random unit keys, as in the authors' code, drawn from the generator. Keys are stored normalised.
    """

    keys: Tensor
    pointer: Tensor

    def __init__(self, K: int, d: int) -> None:
        super().__init__()
        if K < 1:
            raise MethodError(f"queue = {K}: give a number of keys >= 1")
        self.register_buffer("keys", torch.empty(K, d))
        self.register_buffer("pointer", torch.empty((), dtype=torch.long))  # the oldest key, the next to go

    def start(self, generator: torch.Generator) -> None:
        self.keys.copy_(nn.functional.normalize(self.keys.normal_(generator=generator), dim=-1))
        self.pointer.zero_()

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Put keys (N, d) in the place of the N oldest. Raises MethodError for N > K: some would never be used."""
        N, K = len(keys), len(self.keys)
        if N > K:
            raise MethodError(f"a batch of {N} keys does not fit a queue of {K}: give queue >= the batch")
        places = (self.pointer + torch.arange(N, device=keys.device)) % K  # no .item(): the device is not waited for
        self.keys[places] = nn.functional.normalize(keys.to(self.keys.dtype), dim=-1)
        self.pointer.copy_((self.pointer + N) % K)
