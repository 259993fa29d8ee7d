"""Networks marched through a device's own stream of minibatches, on a GPU by one launch for all that a block of steps does."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from full_models.batches import Batch
from full_models.device_stream import DEVICE_STEPS, DeviceStream
from full_models.sgd_steps import Batched


class DeviceMarch:
    """Steps of `lanes` on the batches of `source`, in order; `march` may be called again and goes on.

    A step of small networks is a dozen kernels of a few microseconds each, which is less than what it costs to launch
    them. On a GPU a whole block of DEVICE_STEPS, its draws included, is therefore recorded as a CUDA graph, once a block has
    run without: the recording asks for libraries that are loaded and buffers that are there. The numbers are the same.
    """

    def __init__(self, lanes: Batched, source: DeviceStream) -> None:
        self.lanes, self.source = lanes, source
        self.graph: torch.cuda.CUDAGraph | None = None
        self.ready = False  # to be recorded
        self.block: Iterator[Batch] = iter(())  # what is left of the batches drawn last
        self.left = 0  # how many

    def march(self, steps: int) -> None:
        """Take so many steps."""
        while steps:
            if self.ready and not self.left and steps >= DEVICE_STEPS:
                self._replay()
                steps -= DEVICE_STEPS
                continue
            if not self.left:
                self.block, self.left = self.source.take(), DEVICE_STEPS
                self.ready = self.lanes.W.device.type == "cuda"
            self.lanes.step(next(self.block))
            self.left -= 1
            steps -= 1

    def _replay(self) -> None:
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            for generator in self.source.generators.values():
                self.graph.register_generator_state(generator)
            with torch.cuda.graph(self.graph):
                for batch in self.source.take():
                    self.lanes.step(batch)
        self.graph.replay()
