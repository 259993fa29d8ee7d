"""From a field to machine code: fields kept by different runs, and fields that call what is compiled already."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import njit

from dynamics.compiled import FieldError
from dynamics.ensemble import integrate_many

ROOT = Path(__file__).resolve().parent.parent
DECAYS = """import sys
from dynamics.compiled import explicit, kernels
from dynamics.ensemble import integrate_many


def slow(y):
    return (-y,)


def fast(y):
    return (-2.0 * y,)


fields = [globals()[name] for name in sys.argv[1:]]
ends = [float(integrate_many(field, (1.0,), (), 1.0).y[0]) for field in (*fields, *fields)]
kinds = {field: explicit(field, 1, 0, False) for field in fields}
parts = [part for field in fields for part in kernels(kinds[field][0], field, 1, 0, None, 0, kinds[field][1])]
names = {code.fndesc.mangled_name for part in parts for code in part.overloads.values()}
print(len(names), sum(sum(part.stats.cache_hits.values()) for part in parts), *ends)
"""


def test_fields_kept_by_different_runs_stay_apart(tmp_path: Path) -> None:
    """numba counts functions anew in each process and finds machine code by module, name and that count."""
    (tmp_path / "decays.py").write_text(DECAYS)
    env = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path), "PYTHONHASHSEED": "0"}  # equal counts
    said = []
    for fields in (["slow"], ["fast"], ["slow", "fast"]):
        run = subprocess.run(
            [sys.executable, "decays.py", *fields], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        said.append([float(word) for word in run.stdout.split()])
    assert [found[:2] for found in said] == [[3, 0], [3, 0], [6, 6]]  # names, and how many were taken from disk
    for found, rates in zip(said, ([1, 1], [2, 2], [1, 2, 1, 2]), strict=True):
        assert all(abs(y - math.exp(-r)) < 1e-7 for y, r in zip(found[2:], rates, strict=True))  # 10 rtol


@njit
def doubled(x):
    return 2.0 * x


def plain(x):
    return (-doubled(x),)


def test_a_field_may_be_compiled_already_or_call_what_is() -> None:
    for field in (plain, njit(plain)):
        assert abs(float(integrate_many(field, (1.0,), (), 1.0).y[0]) - math.exp(-2.0)) < 1e-7  # 10 rtol


BASE, POWER = 3, -2


def by_a_whole_power(x):
    return (-x * BASE**POWER,)


def by_a_factorial(x):
    product = 1
    for i in range(1, 23):
        product = product * i
    return (-x * product / 1e21,)


def by_the_root_of_a_factorial(x):
    product = 1
    for i in range(1, 22):
        product = product * i
    return (-x * math.sqrt(product / 1e20),)


def decay(x):
    return (-x,)


@pytest.mark.parametrize("method", ["explicit", "stiff"])
@pytest.mark.parametrize("field", [by_a_whole_power, by_a_factorial, by_the_root_of_a_factorial])
def test_whole_numbers_that_compiled_code_cannot_hold_are_refused(field, method: str) -> None:
    """The power was 0 there and the product of 22 numbers its last 64 bits, with status ok; that of 21 is negative, its root NaN."""
    with pytest.raises(FieldError, match=r"when compiled and .* in Python.*write 3.0 for 3"):
        integrate_many(field, (1.0,), (), 1.0, method=method)


def test_so_are_those_of_events() -> None:
    with pytest.raises(FieldError, match=r"events gives .* number 1 at"):
        integrate_many(decay, (1.0,), (), 5.0, events=lambda x: (x - 0.5, x - BASE**POWER))


def test_so_are_those_of_a_jacobian() -> None:
    """Its row was 0 there, and the stiff method ran with it."""
    slowly = lambda x: (-x / 9.0,)  # noqa: E731
    with pytest.raises(FieldError, match=r"jacobian gives -?0 when compiled and -0.111111 in Python"):
        integrate_many(slowly, (1.0,), (), 1.0, jacobian=lambda x: ((-1.0 * BASE**POWER,),), method="stiff")


@njit
def frozen(x):
    return BASE * x


def by_frozen(x):
    return (-frozen(x),)


def frozen_rows(x):
    return ((-frozen(1.0),),)


def test_a_jacobian_is_held_against_what_the_field_reads_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for base in (3.0, 2.0):
        monkeypatch.setitem(globals(), "BASE", base)
        assert frozen(1.0) == 3.0  # as compiled first
        out = integrate_many(by_frozen, (1.0,), (), 1.0, jacobian=frozen_rows, method="stiff")
        assert abs(float(out.y[0]) - math.exp(-base)) < 1e-6  # 10² rtol
        with pytest.raises(FieldError, match="disagrees"):
            integrate_many(by_frozen, (1.0,), (), 1.0, jacobian=lambda x, wrong=5.0 - base: ((-wrong,),))
