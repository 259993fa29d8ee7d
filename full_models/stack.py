"""Methods of one structure as one: their parameters and what their optimiser keeps, stacked along a leading axis."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import stack_module_state

from full_models.methods import Method
from full_models.training.recipe import Recipe, RecipeError
from full_models.training.steps import make_method

Tensors = dict[str, Tensor]


@dataclass
class Stack:
    """R methods as one: `skeleton` on the meta device holds their structure, parameters and buffers name -> (R, …).

    first, second: the optimiser's moments. rates: (R,) learning rates. groups: name -> its parameter group's values.
    """

    skeleton: Method
    parameters: Tensors
    buffers: Tensors
    rates: Tensor
    groups: dict[str, dict[str, Any]]
    first: Tensors
    second: Tensors


def stacked(replicas: Sequence[Recipe], shape: tuple[int, int, int], device: str) -> Stack:
    """The replicas as they start, on the device. Raises RecipeError where there is nothing to train."""
    methods: list[Method] = [make_method(one, shape).to(device).train() for one in replicas]
    parameters, buffers = stack_module_state(methods)  # pyright: ignore[reportArgumentType]  list is invariant
    parameters = {name: value.detach() for name, value in parameters.items()}
    names = {id(p): name for name, p in methods[0].named_parameters()}
    groups = {
        names[id(p)]: {key: value for key, value in group.items() if key != "params"}
        for group in methods[0].parameter_groups(1.0, replicas[0].weight_decay)
        for p in group["params"]
    }
    if not groups:
        raise RecipeError(f"{replicas[0].method} trains nothing: its replicas are the first row of any other run")
    zeros = [{name: torch.zeros_like(parameters[name]) for name in groups} for _ in range(2)]
    rates = torch.tensor([one.lr for one in replicas], dtype=torch.float64, device=device)
    return Stack(copy.deepcopy(methods[0]).to("meta"), parameters, buffers, rates, groups, *zeros)


def replica(stack: Stack, recipe: Recipe, r: int, shape: tuple[int, int, int]) -> Method:
    """Replica r as a method of its own, on the stack's device."""
    method = make_method(recipe, shape).to(stack.rates.device)
    method.load_state_dict({name: value[r] for name, value in (stack.parameters | stack.buffers).items()}, strict=False)
    return method
