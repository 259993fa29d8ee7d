"""Vectors of 512 bits: used where the machine has them and a function asks, and narrower code is as right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pytest

from dynamics import compiled, modes
from dynamics.vector_width import has_512_bits, widest

WIDE, NARROW = "zmm", "ymm"  # names of registers of 512 and of 256 bits


@numba.njit
def doubled(x: np.ndarray) -> None:
    for i in range(len(x)):
        x[i] += x[i]


@numba.njit
def doubled_widely(x: np.ndarray) -> None:
    widest()
    for i in range(len(x)):
        x[i] += x[i]


def code(function) -> str:
    (text,) = function.inspect_asm().values()
    return text


def test_only_a_function_that_asks_gets_wider_vectors() -> None:
    for function in (doubled, doubled_widely):
        x = np.arange(100.0)
        function(x)
        np.testing.assert_array_equal(x, 2 * np.arange(100.0))
    assert WIDE not in code(doubled)
    assert (WIDE in code(doubled_widely)) == has_512_bits()


def test_the_lanes_of_a_field_are_as_wide_as_the_machine_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_kept", lambda *_: None)  # compiled anew: numba does not show code that it read back
    kind, how = compiled.explicit(modes.field, 3, 6, False)
    text = code(compiled.kernels.__wrapped__(kind, modes.field, 3, 6, None, 0, how)[0])
    wide, narrow = text.count(WIDE), text.count(NARROW)
    assert wide > 10 * narrow if has_512_bits() else wide == 0


def two_events(p: float, w: float, v: float, *_: float) -> tuple[float, float]:
    return p - 0.5, w - 0.5


@pytest.mark.parametrize("kind", ["taylor", "verner", "stiff"])
def test_a_lane_that_rejects_its_step_is_stored_like_the_others(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not under a mask, which AMD's processors are slow at. Looked for by the name that it has with AVX2."""
    monkeypatch.setattr(compiled, "_kept", lambda *_: None)
    how = {"taylor": compiled.explicit(modes.field, 3, 6, True)[1], "verner": "", "stiff": "complex"}[kind]
    text = code(compiled.kernels.__wrapped__(kind, modes.field, 3, 6, two_events, 2, how)[0])
    assert not re.search(r"maskmov\w*\s+%ymm\d+, %ymm\d+, ", text)


SCRIPT = """
import numba, numpy as np
from dynamics import lane_products
from dynamics.vector_width import has_512_bits
from full_models import tile
from full_models.products import gemm

@numba.njit
def product(A, B, C):
    gemm(1.0, A, B, 0.0, C)

assert not has_512_bits() and tile.ROW_BYTES == 64 and lane_products.LANES == 4
rng = np.random.default_rng(0)
for dtype in ("float64", "float32"):
    A, B, C = (rng.standard_normal(shape).astype(dtype) for shape in ((12, 40), (40, 48), (12, 48)))
    product(A, B, C)
    bound = 42 * np.finfo(dtype).eps * (np.abs(A) @ np.abs(B))  # a sum of 40 products
    assert (np.abs(C - A.astype(float) @ B) <= bound).all()
print("zmm" in "".join(product.inspect_asm().values()))
"""


@pytest.mark.skipif(not has_512_bits(), reason="what this machine compiles has no wider vectors anyway")
def test_code_for_narrower_machines_is_right_too(tmp_path: Path) -> None:
    """NUMBA_CPU_FEATURES without AVX-512, in a process of its own: numba reads it once."""
    features = llvmlite.binding.get_host_cpu_features().flatten().replace("+avx512", "-avx512")
    env = os.environ | {"NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    said = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout.strip()) == (0, "False"), said.stderr
