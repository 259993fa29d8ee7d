"""The mark of tests that need a CUDA GPU: where there is one, `python -m pytest tests/test_gpu_*.py` takes a minute."""

from __future__ import annotations

import pytest
import torch

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
