"""Several processes as one: what torchrun starts, and the one seam between networks and losses.

A contrastive or whitening loss of a batch is not the mean of the losses of its parts, so every process computes the
loss of the *whole* batch from gathered embeddings. With L that loss and z_r the embeddings of process r, the backward of
`gather` adds the W processes' gradients, each ∂L/∂z_r: process r holds W ∂L/∂z_r, and the mean over processes that
DistributedDataParallel takes of Σ_r W (∂z_r/∂θ)ᵀ ∂L/∂z_r is ∂L/∂θ exactly. An all-reduce that autograd does not see
instead loses that factor W (it is the defect of the Barlow Twins reference code).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from dynamics.setting import SettingError
from full_models.losses.inputs import at_least_float32


class World(NamedTuple):
    """This process's number, and how many there are."""

    rank: int = 0
    size: int = 1


def world() -> World:
    """The processes that `processes` joined; (0, 1) where there is one."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


@contextmanager
def processes(device: str) -> Iterator[tuple[World, str]]:
    """Join the processes that torchrun started: gives (world, this process's device); does nothing where it did not.

    On CPU they talk through gloo, on GPUs through nccl, process r of a machine on its r-th GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World(), device
        return
    if device.startswith("cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    with joined("nccl" if device.startswith("cuda") else "gloo"):
        yield world(), device


@contextmanager
def joined(backend: str, **how: Any) -> Iterator[None]:
    """One group of processes inside the block; `how`: as for torch's `init_process_group`, by default by torchrun's words."""
    # Before there is a group: this module's functions keep the one they find as the default of an argument, and with it
    # gloo's threads, which would listen still while Python ends. DistributedDataParallel imports it at its first use.
    import torch.distributed.nn.functional  # noqa: F401

    dist.init_process_group(backend, **how)
    try:
        yield
        dist.barrier()  # none leaves while another still speaks to it
    finally:
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """(N, …) of each process -> (W N, …) in the order of ranks, on every process; its transpose is `_Share`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts = [torch.empty_like(z) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, z.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Share.apply(g)  # pyright: ignore[reportReturnType]


class _Share(torch.autograd.Function):
    """(W N, …) of each process -> the sum over processes of this one's N rows; its transpose is `_Gather`."""

    @staticmethod
    def forward(ctx: Any, g: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = g.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Gather.apply(g)  # pyright: ignore[reportReturnType]


def gather(z: Tensor) -> Tensor:
    """z (N, …) of every process, stacked in the order of ranks: (W N, …). The tensor itself where there is one process.

    Every process gives the same N. Differentiable to every order, if all processes differentiate alike; what its backward
    returns is explained at the head of the module.
    """
    return z if world().size == 1 else _Gather.apply(z)  # pyright: ignore[reportReturnType]


def own_rows(whole: Tensor) -> Tensor:
    """This process's rows of (W N, …), in the order of ranks: of what each draws alike for the whole batch (masks).

    So no two images of a batch share a draw by being on two processes, and what is one for a batch (the size of a mask)
    is one for all.
    """
    rank, size = world()
    return whole.chunk(size)[rank]


def whole_batch(loss: Callable[..., Tensor], *embeddings: Tensor, **options: Any) -> Tensor:
    """loss(*embeddings, **options) over all processes' rows, outside autocast and in float32 at least.

    A score of 200 at temperature 0.005 is wrong by 1 in bfloat16: networks may run in bf16, losses do not. `options`
    are passed on as they are: whatever has a row per sample goes into `embeddings`.
    """
    with torch.autocast(embeddings[0].device.type, enabled=False):
        return loss(*(gather(at_least_float32(z)) for z in embeddings), **options)


def check_batch(batch: int) -> None:
    """Raises SettingError unless every process gets the same number of rows of a batch."""
    if batch % world().size:
        raise SettingError(f"batch {batch} does not divide among {world().size} processes: give a multiple of that")
