"""What a field reads from outside is part of it: changed, the field is compiled anew, in this process and in later ones."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numba import njit

from dynamics import compiled
from dynamics.ensemble import integrate_many
from dynamics.fingerprint import NoFingerprint, fingerprint, reads

ROOT = Path(__file__).resolve().parent.parent
RATE = 1.0
RATES = np.array([1.0, 9.0])
PAIR = (1.0, (9.0, 0.0))
shelf = ModuleType("shelf")
Named = namedtuple("Named", "rate other")


def falls(field: Callable[..., tuple]) -> float:
    """The rate k of x' = -k x, from x(1)."""
    return -math.log(integrate_many(field, (1.0,), (), 1.0).y[0])


def by_global(x):
    return (-RATE * x,)


def by_helper(x):
    return (-helper(x),)


def helper(x):
    return RATE * x


def by_array(x):
    return (-RATES[0] * x,)


def by_tuple(x):
    return (-PAIR[0] * x,)


def by_module(x):
    return (-shelf.rate * x,)


def by_compiled_of_a_module(x):
    return (-shelf.times(x),)


@pytest.mark.parametrize("field", [by_global, by_helper])
def test_a_changed_global_counts(field: Callable[..., tuple], monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in (1.0, 2.0, 1.0):
        monkeypatch.setitem(globals(), "RATE", rate)
        assert abs(falls(field) - rate) < 1e-6  # 10² rtol; the rates are 1 apart


def test_a_changed_array_or_tuple_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in (1.0, 2.0):
        RATES[0] = rate  # in place: the same object
        monkeypatch.setitem(globals(), "PAIR", (rate, PAIR[1]))
        assert abs(falls(by_array) - rate) < 1e-6 and abs(falls(by_tuple) - rate) < 1e-6  # 10² rtol


def test_a_changed_cell_or_default_counts() -> None:
    rate = 1.0

    def by_cell(x):
        return (-rate * x,)

    def by_default(x, k=1.0):
        return (-k * x,)

    for rate in (1.0, 2.0):
        by_default.__defaults__ = (rate,)
        assert abs(falls(by_cell) - rate) < 1e-6 and abs(falls(by_default) - rate) < 1e-6  # 10² rtol


def test_a_changed_module_counts() -> None:
    for rate in (1.0, 2.0):
        shelf.rate, shelf.times = rate, njit(lambda x, rate=rate: rate * x)  # pyright: ignore[reportAttributeAccessIssue]
        assert abs(falls(by_module) - rate) < 1e-6 and abs(falls(by_compiled_of_a_module) - rate) < 1e-6  # 10² rtol


@njit
def frozen(x):
    return RATE * x


def by_compiled_of_a_compiled_of_a_module(x):
    return (-shelf.outer(x),)


def by_closure() -> Callable[..., tuple]:
    inner = frozen
    return lambda x: (-inner(x),)


def by_module_of_a_module(x):
    return (-shelf.deeper.times(x),)


def by_recursion() -> Callable[..., tuple]:
    """RATE x, by taking a step down first."""

    @njit
    def times(x, k):
        if k == 0:
            return RATE * x
        return times(x, k - 1)

    return lambda x: (-times(x, 2),)


def by_compiled_default(x, inner=frozen):
    return (-inner(x),)


PARTS = (frozen, 1.0)


def by_tuple_of_functions(x):
    inner, _ = PARTS
    return (-inner(x),)


FIELDS = [
    by_compiled_default,
    by_tuple_of_functions,
    by_compiled_of_a_module,
    by_compiled_of_a_compiled_of_a_module,
    by_module_of_a_module,
]


@pytest.mark.filterwarnings("ignore:First-class function type")  # numba's, of functions in a tuple
@pytest.mark.parametrize("field", [*FIELDS, by_closure(), by_recursion()])
def test_what_a_compiled_helper_reads_counts_wherever_it_stands(field, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled helper that has been called keeps the rate of that call, in compiled code and in Python."""
    deeper = ModuleType("deeper")
    deeper.shelf, deeper.times = shelf, frozen  # pyright: ignore[reportAttributeAccessIssue]  a circle of modules
    parts = {"times": frozen, "outer": njit(lambda x: shelf.deeper.times(x)), "deeper": deeper}  # pyright: ignore[reportAttributeAccessIssue]
    for name, value in parts.items():
        monkeypatch.setattr(shelf, name, value, raising=False)
    monkeypatch.setitem(globals(), "RATE", 1.0)
    njit(field)(1.0)  # if it is not compiled yet
    for rate in (2.0, 3.0, 1.0):
        monkeypatch.setitem(globals(), "RATE", rate)
        assert abs(falls(field) - rate) < 1e-6  # 10² rtol; the rates are 1 apart
    assert shelf.times is frozen and frozen(1.0) == 1.0  # pyright: ignore[reportAttributeAccessIssue]  the user's own stay as they are


@pytest.mark.parametrize("method", ["explicit", "stiff"])
def test_helpers_of_a_module_or_a_closure_need_not_be_compiled(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = helper
    monkeypatch.setattr(shelf, "times", helper, raising=False)
    for field in (by_compiled_of_a_module, lambda x: (-inner(x),)):
        assert abs(math.exp(-1.0) - integrate_many(field, (1.0,), (), 1.0, method=method).y[0]) < 1e-6  # 10² rtol


def test_a_module_changed_between_runs_counts(tmp_path: Path) -> None:
    """The file of machine code that the first run leaves is not the second's."""
    field = "import math\nimport shelf\n\n\ndef field(x):\n    return (-shelf.RATE * math.tanh(x),)\n"
    (tmp_path / "field.py").write_text(field)
    code = "import field; from dynamics.ensemble import integrate_many as f; print(f(field.field, (1,), (), 1.).y[0])"
    env = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    for rate, files in ((1.0, 1), (2.0, 2), (1.0, 2)):  # the third run finds the first one's file
        (tmp_path / "shelf.py").write_text(f"RATE = {rate}\n")
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        exact = math.asinh(math.sinh(1.0) * math.exp(-rate))  # of x' = -rate tanh x, x(0) = 1
        assert abs(float(run.stdout) - exact) < 1e-6  # 10² rtol; the two rates are 0.26 apart
        assert len(list((tmp_path / "noncollapse" / "kernels").glob("*.py"))) == files


def test_equal_functions_share_their_machine_code() -> None:
    """Made anew in each turn of a loop, a field is compiled once."""
    kernels = [compiled.kernels("verner", lambda x: (-x * x,), 1, 0, None, 0, "") for _ in range(2)]
    assert kernels[0] is kernels[1]


def test_what_differs_in_kind_or_sign_differs() -> None:
    values = (0.0, -0.0, 0, False, np.float32(0), None, "0.0", (0.0,), Named(0.0, 0.0), (0.0, 0.0), math.nan)
    prints = {fingerprint(lambda x, y=value: x) for value in values}  # one line: the code is the same
    assert len(prints) == len(values)
    assert reads(math.nan) == reads(float("nan"))  # else such a field would be compiled in every call


def test_fields_of_a_named_tuple_have_an_order() -> None:
    """value.rate is the first number of the one and the second of the other."""
    pairs = Named(1.0, 2.0), namedtuple("Named", "other rate")(1.0, 2.0)
    first, turned = (fingerprint(lambda x, y=pair: y.rate * x) for pair in pairs)
    assert first != turned


def test_modules_that_name_each_other_end() -> None:
    a, b = ModuleType("a"), ModuleType("b")
    a.b, b.a, b.rate = b, a, 1.0  # pyright: ignore[reportAttributeAccessIssue]
    function = lambda: a.b.rate * b.a.b.rate  # noqa: E731
    first = fingerprint(function)
    b.rate = 2.0  # pyright: ignore[reportAttributeAccessIssue]
    assert fingerprint(function) != first


def test_a_module_is_read_again_for_a_helper_of_its_own() -> None:
    """The field takes `times` from it, and `times` takes `rate`."""
    a = ModuleType("a")
    a.rate, a.times = 1.0, lambda x: a.rate * x  # pyright: ignore[reportAttributeAccessIssue]
    first = fingerprint(lambda x: a.times(x))
    a.rate = 2.0  # pyright: ignore[reportAttributeAccessIssue]
    assert fingerprint(lambda x: a.times(x)) != first


def test_what_has_no_print_is_not_kept() -> None:
    thing = object()
    with pytest.raises(NoFingerprint):
        fingerprint(lambda x: thing)
    assert compiled._kept("text", [lambda x: thing]) is None


def test_recursion_is_not_kept() -> None:
    """numba keeps such code with a symbol that is nowhere: the process that loads it is aborted by LLVM."""
    assert compiled._kept("text", [by_recursion()]) is None
