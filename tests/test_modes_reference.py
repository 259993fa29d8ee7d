"""What the errors in the table of per-mode ensembles are measured against."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.modes_reference import AGREE, TARGET, draw, errors, exact, tight


@pytest.mark.parametrize("case", ["mild", "stiff"])
def test_every_member_has_a_reference_that_scipys_validate(case: str) -> None:
    some = exact(case, 2)
    every = tight(case, 50, some)
    assert every.shape == (50, 3) and errors(every, some).max() < AGREE < 1e-2 * TARGET  # a hundredth shifts no match
    with pytest.raises(RuntimeError, match="from scipy, more than"):
        tight(case, 50, some * (1 + 2 * AGREE))
    with pytest.raises(RuntimeError, match="nan from scipy"):
        tight(case, 50, np.full((2, 3), np.nan))
    assert np.array_equal(draw(case, 50)[0], draw(case, 80)[0][:50])  # the first members are those of every size
