"""The random start of a module, from one explicit generator: torch's global generator is neither read nor advanced."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from full_models.device import check_memory

Module = TypeVar("Module", bound=nn.Module)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


def build(make: Callable[[], Module], generator: torch.Generator) -> Module:
    """make() on the generator's device, every parameter started from the generator; the way all modules here are made.

    make runs on torch's meta device, where constructors draw nothing. Then, in the order of registration:

        nn.Linear   weights and biases U(±1/√fan_in), torch's default law
        nn.Conv2d   weights N(0, 2/fan_out) (He et al. 2015), biases 0
        norms       gain 1, offset 0, running mean 0 and variance 1
        a module with a method start(generator)   sets by it every parameter and buffer registered on itself, and may
                                                  start its children anew, which are started before it

    Raises TypeError where a parameter or buffer would stay unset, and MemoryError, before anything is drawn, on more of them
    than the device can hold.
    """
    with torch.device("meta"):
        module = make()
    check_memory(sum(X.nbytes for X in (*module.parameters(), *module.buffers())), generator.device)
    module.to_empty(device=generator.device)
    start(module, generator)
    return module


@torch.no_grad()
def start(module: nn.Module, generator: torch.Generator) -> None:
    """Start a module's children, then the module itself, in place, by the laws of `build`."""
    for child in module.children():
        start(child, generator)
    own = getattr(module, "start", None)
    if callable(own):
        own(generator)
    elif isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.in_features)
        for parameter in module.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        if module.bias is not None:
            module.bias.zero_()
    elif isinstance(module, NORMS):
        module.reset_parameters()  # constants, no draw
    elif _tensors(module):
        raise TypeError(f"{type(module).__name__} has parameters of its own: give it a method start(generator)")


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]
