"""What a record's hash depends on: the claim's module and all it imports, the dynamics, the rungs, the engine; no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from derivations.registry import CLAIMS, MODULES
from noncollapse import sources


def of_byol_flow() -> str:
    """Its hash, computed anew."""
    return sources.sources_of.__wrapped__("byol_flow")


@pytest.mark.parametrize(
    ("name", "depends"),
    [(f"noncollapse/{n}.py", True) for n in ("rungs", "judge", "ladder", "controls", "search", "budget")]
    + [("dynamics/solver.py", True), ("full_models/linear.py", True), ("full_models/point.py", True)]
    + [("derivations/byol_flow.py", True), ("derivations/byol_common.py", True)]
    + [("full_models/losses/contrastive.py", True), ("full_models/losses/inputs.py", True)]  # of point.py
    + [("full_models/losses/blocked.py", False)]
    + [("derivations/algebra.py", True)]  # byol_flow does not import it, byol_proofs does
    + [(name, False) for name in ("noncollapse/cli.py", "full_models/deep.py", "derivations/contrastive.py")],
)
def test_a_record_depends_on_the_code_that_made_it(monkeypatch: pytest.MonkeyPatch, name: str, depends: bool) -> None:
    assert (sources.ROOT / name).is_file()
    monkeypatch.setattr(sources, "_networks", sources._networks.__wrapped__)
    before, digest = of_byol_flow(), sources._digest
    monkeypatch.setattr(sources, "_digest", lambda file: digest(file) + "changed" * (file == sources.ROOT / name))
    assert (of_byol_flow() != before) == depends


def test_byol_flow_reaches_algebra_through_another_module_only() -> None:
    """Else the case above would not ask for what is imported indirectly."""
    assert not any(f.stem == "algebra" for f in sources._imported(sources.ROOT / "derivations" / "byol_flow.py"))


def test_a_record_depends_on_the_claim_that_corrects_it() -> None:
    """Its residual at the counterexample is a control of the record."""
    for claim in CLAIMS.values():
        if claim.corrected_by:
            own, other = (sources.ROOT / "derivations" / f"{MODULES[i]}.py" for i in (claim.id, claim.corrected_by))
            assert other in sources._corrections(own)


def test_names_imported_from_a_room_count_as_its_modules() -> None:
    taylor, ensemble = (sources.ROOT / "dynamics" / f"{n}.py" for n in ("taylor_source", "ensemble"))
    assert "from dynamics import lanes" in taylor.read_text()
    assert sources.ROOT / "dynamics" / "lanes.py" in sources.reached(taylor)
    assert taylor in sources.reached(ensemble)


def test_a_hash_is_of_names_and_bytes(tmp_path: Path) -> None:
    def hashed(folder: str, name: str, text: str) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
        return sources.hash_of([tmp_path / folder / name])

    one, same, other, renamed = (
        hashed(*f) for f in zip("abcd", ("x", "x", "x", "y"), ("1", "1", "2", "1"), strict=True)
    )
    assert one == same, "wherever it lies"
    assert len({one, other, renamed}) == 3
