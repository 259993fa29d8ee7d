"""The judge's table names every case once."""

from __future__ import annotations

import itertools

import pytest

from noncollapse.judge import VERDICTS, Findings, verdict

TABLE = {  # idle step, ran, controls, contradicted, counterexample stated, has needs, counterexample needed, proved; "." is either
    "1.......": "error", "00......": "open", "010.....": "error", "0111....": "error",
    "011000.1": "verified", "011000.0": "supported", "011001..": "supported", "0110110.": "conditional",
    "01101110": "refuted", "01101111": "error", "011010.0": "refuted", "011010.1": "error",
}  # fmt: skip


@pytest.mark.parametrize("bits", ["".join(b) for b in itertools.product("01", repeat=8)])
def test_verdict_table(bits: str) -> None:
    rows = [v for row, v in TABLE.items() if all(r in (".", b) for r, b in zip(row, bits, strict=True))]
    assert len(rows) == 1, "the table names every case once"
    idle, ran, controls, contradicted, stated, needs, needed, proved = (b == "1" for b in bits)
    astray, step = "" if controls else "noise: 1 should exceed 2", "0 = 0" if idle else ""
    found, reason = verdict(Findings(ran, stated, needs, needed, proved, astray, contradicted, step))
    assert found == rows[0]
    assert found in VERDICTS
    assert reason
    if found == "conditional":
        assert ("proved" in reason) and ("not proved" in reason) != proved
    if idle:
        assert "0 = 0" in reason, "it names the step"
    elif ran and not controls:
        assert astray in reason, "it names the control and its numbers"
