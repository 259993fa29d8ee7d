"""How the code of the matrix flows is compiled."""

from __future__ import annotations

from typing import Any

from dynamics.machine_code import kept_jit

FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums may be reordered and fused; NaN and infinity keep their meaning
compiled: Any = kept_jit(nogil=True, error_model="numpy", fastmath=FAST)
