"""Projectors, and the features that DirectCLR teaches without one."""

from __future__ import annotations

import pytest
import torch
from method_cases import SHAPE, batches, generator, gradients
from torch import nn

from full_models.methods import build
from full_models.methods.projector import Head


@pytest.mark.parametrize(
    ("head", "layers"),
    [
        (Head("none"), ["Identity"]),
        (Head("linear", dim=3), ["Linear"]),
        (Head("mlp", dim=3, hidden=4), ["Linear", "BatchNorm1d", "ReLU", "Linear"]),
        (Head("mlp", dim=3, hidden=4, norm=False, layers=3), ["Linear", "ReLU", "Linear", "ReLU", "Linear"]),
        (Head("mlp", dim=3, layers=1, output_norm=True), ["Linear", "BatchNorm1d"]),
    ],
)
def test_projectors_are_built_as_described(head: Head, layers: list[str]) -> None:
    projector = head.build(5, generator())
    parts = list(projector) if isinstance(projector, nn.Sequential) else [projector]
    assert [type(part).__name__ for part in parts] == layers
    z = projector(torch.rand(7, 5, generator=generator(1))).detach()
    assert z.shape == (7, head.size(5))
    biased = [part.bias is not None for part in parts if isinstance(part, nn.Linear)]
    followed = [
        type(after).__name__ == "BatchNorm1d"
        for part, after in zip(parts, [*parts[1:], None], strict=True)
        if isinstance(part, nn.Linear)
    ]
    if head.projector == "mlp":
        assert biased == [not norm for norm in followed]  # a batch norm would subtract the bias
    if head.output_norm:
        assert float(z.mean(0).abs().max()) < 1e-6 and not list(parts[-1].parameters())  # float32 rounding of a mean


def test_directclr_teaches_only_the_leading_features() -> None:
    method, (pair,) = (
        build("directclr", SHAPE, encoder="linear", width=16, generator=generator(), dim=5).double(),
        batches(1),
    )
    (weights,) = gradients(method, *pair)  # (16, 64): one row a feature
    assert torch.equal(weights[5:], torch.zeros(11, 64, dtype=torch.float64)) and (weights[:5].abs().sum(1) > 0).all()
    assert method.embed(pair[0]).shape == (12, 5) and method.features(pair[0]).shape == (12, 16)
