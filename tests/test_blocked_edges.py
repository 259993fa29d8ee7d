"""Blocked losses at their edges: zero, huge and NaN rows, narrow types, a learned temperature, no networks, bad input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from blocked_cases import PAIRS, path, value_and_gradients, views
from torch import Tensor

from full_models.losses import blocked_info_nce, blocked_nt_xent, info_nce
from full_models.losses.inputs import NORM_FLOOR, floor_in

torch.set_num_threads(1)
NAMES = pytest.mark.parametrize("name", PAIRS)
__all__ = ["path"]  # the fixture


@NAMES
@pytest.mark.usefixtures("path")
def test_zero_and_tiny_rows_follow_the_floor_of_the_norm(name: str) -> None:
    plain, other = PAIRS[name]
    inputs = views(30, 4)
    inputs[0][3] = 0.0
    inputs[1][5] *= 1e-14  # below the floor of 1e-12, where the plain loss divides by the floor itself
    for a, b in zip(*(value_and_gradients(f, inputs, tau=0.3) for f in (plain, other)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)  # rounding, 8 (N + d) u / tau = 1e-13 at the largest


@NAMES
@pytest.mark.parametrize("tau", [0.5, 0.002])
@pytest.mark.usefixtures("path")
def test_nan_and_constant_rows(name: str, tau: float) -> None:
    z, z_plus = views(200, 3)
    z[150, 1] = torch.nan
    assert PAIRS[name][1](z, z_plus, tau=tau).isnan()
    same = torch.ones(200, 3, dtype=torch.float64)
    chance = torch.tensor(200.0 if name == "InfoNCE" else 399.0, dtype=torch.float64).log()
    # equal scores of up to 500 are equal to rounding only: N u 500 of the law
    torch.testing.assert_close(PAIRS[name][1](same, same, tau=tau), chance, rtol=0, atol=8 * 203 * 2**-53 / tau)


@NAMES
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.usefixtures("path")
def test_a_row_whose_length_overflows_is_nan_and_not_a_zero_row(name: str, dtype: torch.dtype) -> None:
    z = views(50, 8, dtype)[0]
    z[7] = z[7].sign() * torch.finfo(dtype).max / 2  # of length √8 / 2 max
    assert PAIRS[name][1](z, z).isnan()


@NAMES
@pytest.mark.parametrize(("scale", "tau"), [(1e36, 0.005), (1e37, 0.1)])  # with a running maximum, and without
@pytest.mark.usefixtures("path")
def test_long_rows_do_not_overflow_before_they_are_divided_by_their_lengths(
    name: str, scale: float, tau: float
) -> None:
    plain, other = PAIRS[name]
    inputs = [x.float() for x in views(50, 8)]
    long = [scale * x for x in inputs]  # over tau beyond float32's 3e38
    (exact, *slopes), (J, *gradients) = (
        value_and_gradients(plain, inputs, tau=tau),
        value_and_gradients(other, long, tau=tau),
    )
    torch.testing.assert_close(J, exact, rtol=1e-5, atol=0)  # scores of 200 rounded at 6e-8
    for g, slope in zip(gradients, slopes, strict=True):
        assert g.isfinite().all()
        if scale == 1e36:  # else a gradient of 1e-37 is near the least number of all
            # softmax weights move by 200 · 6e-8 relative
            torch.testing.assert_close(scale * g, slope, rtol=1e-4, atol=1e-4 * float(slope.abs().max()))


@NAMES
@pytest.mark.parametrize("tau", [0.5, 50.0, 1000.0])
@pytest.mark.usefixtures("path")
def test_a_long_row_gives_the_other_view_its_whole_gradient(name: str, tau: float) -> None:
    """1 / (‖z‖ tau N) of it is 0 in float32; ẑ / (tau N) is not."""
    plain, other = PAIRS[name]
    z, z_plus = views(1100, 5, torch.float32)
    z[4] *= 1e38 / z[4].norm()
    expected = value_and_gradients(plain, [z.double(), z_plus.double()], tau=tau)[2]
    got = value_and_gradients(other, [z, z_plus], tau=tau)[2].double()
    # softmax weights to 8 (N + d) u of the law in blocked_cases, and never more than a hundredth: of a row's own gradient
    unit = expected.norm(dim=-1).median()
    assert ((got - expected).norm(dim=-1) < 8 * 1105 * 2**-24 * unit.clamp(min=expected.norm(dim=-1))).all()


@NAMES
@pytest.mark.parametrize("tau", [1e-27, 1e-36])  # 1 / (floor tau) is beyond float32
@pytest.mark.usefixtures("path")
def test_rows_at_the_floor_of_the_norm_stay_finite_at_every_temperature_that_is_taken(name: str, tau: float) -> None:
    plain, other = PAIRS[name]
    z, z_plus = views(50, 5, torch.float32)
    z[3] = 0.0
    z[7] *= 1e-14
    expected = plain(z.double(), z_plus.double(), tau=tau)
    J = other(z.requires_grad_(), z_plus, tau=tau)
    assert J.item() == pytest.approx(expected.item(), rel=1e-5)  # scores are rounded at 6e-8, d of them a row
    assert torch.autograd.grad(J, z)[0][:3].isfinite().all()  # 1 / (‖z‖ tau) itself is in the type


def test_keys_far_below_a_row_s_best_count_for_nothing_however_long_they_are() -> None:
    """e^-44 of a key of 1e30 would be a gradient of 1e10."""
    q, k = (x.abs().float() for x in views(50, 4))
    k[1] = -1e30
    for got, expected in zip(
        *(value_and_gradients(f, [q, k], critic="dot", tau=1.0)[1:] for f in (blocked_info_nce, info_nce)), strict=True
    ):
        others = torch.arange(50) != 1  # row 1 has that key for its positive
        torch.testing.assert_close(got[others], expected[others], rtol=1e-4, atol=1e-6)  # softmax weights of float32


@NAMES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("N", [100, 1100])
def test_narrow_types_are_computed_in_float32(name: str, dtype: torch.dtype, N: int) -> None:
    """Keys far below a row's best count for nothing each, but in float16 exp cannot say so for a thousand of them.

    A zero row, whose gradient is 1 / floor times that of a unit row, has float16's own floor.
    """
    plain, other = PAIRS[name]
    inputs = views(N, 16, dtype)
    inputs[0][3] = 0
    expected = value_and_gradients(plain, [x.float() for x in inputs], tau=0.05)
    expected[1][3] *= NORM_FLOOR / floor_in(dtype)
    for got, exact in zip(value_and_gradients(other, inputs, tau=0.05), expected, strict=True):
        assert got.dtype == dtype
        # one rounding of a result at the end; where a gradient is small, float16's least number, 6e-8
        torch.testing.assert_close(got.float(), exact, rtol=torch.finfo(dtype).eps, atol=1e-7)


@NAMES
@pytest.mark.parametrize("tau", [0.5, 0.002])  # at 0.002 the rows' maxima are taken away
@pytest.mark.parametrize("lead", [(), (3,)])
@pytest.mark.usefixtures("path")
def test_a_learned_temperature_has_the_plain_losses_gradient(name: str, tau: float, lead: tuple[int, ...]) -> None:
    inputs, slopes = [*views(60, 4, lead=lead), torch.tensor(tau, dtype=torch.float64)], []
    for loss in PAIRS[name]:
        z, z_plus, t = leaves = [x.clone().requires_grad_() for x in inputs]
        slopes.append(torch.autograd.grad(loss(z, z_plus, tau=t).sum(), leaves))
    for plain, other in zip(*slopes, strict=True):
        # a mean of scores up to 1 / tau over tau: 8 (N + d) u of the law in blocked_cases, in the unit of 1 / tau²
        torch.testing.assert_close(other, plain, rtol=0, atol=8 * 64 * 2**-53 / tau**2)
    alone = inputs[-1].clone().requires_grad_()  # frozen embeddings
    PAIRS[name][1](*inputs[:2], tau=alone).sum().backward()
    torch.testing.assert_close(alone.grad, slopes[1][-1], rtol=0, atol=0)  # the same operations


@NAMES
def test_a_learned_temperature_may_be_of_another_type_and_shape(name: str) -> None:
    tau = torch.full((1,), 0.25, requires_grad=True)  # float32, beside float64 embeddings
    PAIRS[name][1](*views(20, 4), tau=tau).backward()
    assert tau.grad is not None and tau.grad.shape == (1,) and tau.grad.abs() > 0.01  # of order 1


@NAMES
def test_no_networks_have_a_gradient_too(name: str) -> None:
    z = torch.ones(0, 5, 3, requires_grad=True)
    J = PAIRS[name][1](z, z)
    assert J.shape == (0,)
    J.sum().backward()
    assert z.grad is not None and z.grad.shape == z.shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: blocked_info_nce(z, z[:2]), "give both as"),
        (lambda z: blocked_info_nce(z, z, tau=0.0), "tau = 0.0: give a finite number > 0"),
        (lambda z: blocked_info_nce(z, z, critic="l2"), "critic 'l2' is not one of"),
        (lambda z: blocked_nt_xent(z, z, tau=-1.0), "tau = -1.0: give a finite number > 0"),
        (lambda z: blocked_nt_xent(z, z, convention="other"), "convention 'other' is not known"),
        (lambda z: blocked_nt_xent(z, z[:2]), "give both as"),
        (lambda z: blocked_info_nce(z, z.double()), "of torch.float32 and torch.float64: give both"),
        (lambda z: blocked_nt_xent(z, z.double()), "of torch.float32 and torch.float64: give both"),
        (lambda z: blocked_info_nce(z, z, tau=torch.ones(2)), "one number"),
        (lambda z: blocked_info_nce(z, z, tau=1e-100), "tau = 1e-100 is beyond the range of torch.float32: give one"),
        (lambda z: blocked_nt_xent(z, z, tau=1e39), "tau = 1e\\+39 is beyond the range of torch.float32: give one"),
    ],
)
def test_bad_input_says_what_to_do(call: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(torch.ones(3, 2))
