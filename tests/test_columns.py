"""Columns: the same members bit for bit, however their numbers lie in memory and however many stand beside them."""

from __future__ import annotations

import numpy as np
import pytest

from dynamics import lanes, modes
from dynamics.columns import columns
from dynamics.ensemble import BLOCK, FieldError, integrate_many
from dynamics.lane_driver import FEW

RNG = np.random.default_rng(0)
SHAPE = (3, 100)  # more than FEW in all
Y0, Q = RNG.uniform(0.1, 1.0, (3, *SHAPE)), RNG.uniform(0.1, 1.0, (6, *SHAPE))


def odd(x: np.ndarray) -> np.ndarray:
    """The same behind a byte each."""
    out = np.zeros(x.shape, [("byte", "i1"), ("number", "f8")])["number"]
    out[...] = x
    assert not out.flags.aligned
    return out


LAID = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "members first": lambda x: np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0),
    "every second": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "each by itself": list,
    "read only": lambda x: np.broadcast_to(x, x.shape),
    "at odd bytes": odd,
    "of other bytes": lambda x: x.astype(">f8"),
    "nested lists": lambda x: x.tolist(),
}


def solved(y0, q) -> np.ndarray:
    return integrate_many(modes.field, y0, q, 2.0, rtol=1e-6).y


@pytest.mark.parametrize("laid", LAID)
def test_numbers_may_lie_anywhere(laid: str) -> None:
    assert np.array_equal(solved(LAID[laid](Y0), LAID[laid](Q)), solved(Y0, Q))


def test_times_may_be_read_only() -> None:
    times = np.linspace(0.0, 2.0, 3)
    at = integrate_many(modes.field, Y0, Q, times=times).at
    times.flags.writeable = False
    assert np.array_equal(integrate_many(modes.field, Y0, Q, times=times).at, at) and np.isfinite(at).all()


def test_few_and_many_members_alike() -> None:
    """Half of the lanes or all of them, one block or two: a member's numbers are its own."""
    y0, q = (x.reshape(len(x), -1) for x in (Y0, Q))
    few, many = solved(y0[:, :50], q[:, :50]), solved(y0, q)
    assert len(few) <= FEW < len(many) and np.array_equal(few, many[:50])
    times = -(-BLOCK // len(many)) + 1
    blocks = solved(np.tile(y0, times), np.tile(q, times))
    assert len(blocks) > BLOCK and np.array_equal(blocks, np.tile(many, (times, 1)))


def test_columns_broadcast_whether_or_not_in_one_array() -> None:
    full = solved(Y0, np.broadcast_to(Q[:, :1], Q.shape))
    assert np.array_equal(solved(Y0, Q[:, :1]), full) and np.array_equal(solved(Y0, [*Q[:, :1]]), full)
    one = np.array([1.25, 1.0, 1.0, 0.5, 0.1, 0.1])
    assert np.array_equal(solved(Y0, one), solved(Y0, np.broadcast_to(one[:, None, None], Q.shape)))
    assert solved(Y0[:, :0], one).shape == (0, 100, 3)
    with pytest.raises(FieldError, match="broadcast"):
        solved(Y0, Q[:, :, :7])


def test_first_member_or_a_number_to_try() -> None:
    given = np.array([[[0.25, 2.0]], [[np.nan, 3.0]]])
    assert columns(given, "y0").first() == columns(list(given), "y0").first() == [0.25, 0.5]
    assert columns(given[:, :0], "y0").first() == [0.5, 0.5] and columns((), "y0").first() == []


def test_lanes_begin_at_a_line_of_the_cache() -> None:
    """Rows are whole lines, so that no vector lies across two; numpy alone would begin at any 16 bytes."""
    kept = [lanes.workspace(rows) for rows in range(1, 30)]  # all in memory at once
    assert all(x.ctypes.data % 64 == 0 and not x.any() for S, alone, _ in kept for x in (S, alone))
    assert (lanes.LANES // 2) % lanes.LINE == 0


@pytest.mark.parametrize("where", ["y0", "parameters", "t_end"])
def test_masked_numbers_are_refused(where: str) -> None:
    """What is under a mask was integrated like all others; a masked array that masks nothing is like any other."""
    call = {"field": lambda x, k: (-k * x,), "y0": (1.0,), "parameters": (1.0,), "t_end": 1.0}
    for mask in (False, True):
        given = np.ma.array([1.0, 2.0], mask=[False, mask])
        call[where] = given if where == "t_end" else (given,)
        if mask:
            with pytest.raises(FieldError, match=f"{where} holds masked numbers: leave these members out"):
                integrate_many(**call)
        else:
            assert integrate_many(**call).ok.all()
    with pytest.raises(FieldError, match="y0 holds masked"):
        columns(np.ma.array(np.ones((2, 3)), mask=np.eye(2, 3, dtype=bool)), "y0")
