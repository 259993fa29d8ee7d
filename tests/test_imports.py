"""The import table of the house, read off the source: rooms agree only because they do not know one another."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("dynamics", "derivations", "full_models", "figures", "noncollapse")
VOCABULARY = {"setting", "run", "views", "images", "start", "observe", "convention"}
ALLOWED = {  # third-party packages and other rooms; dynamics' modules are listed where only its vocabulary may be used
    "dynamics": ({"numpy", "scipy", "sklearn", "numba", "llvmlite"}, {}),
    "derivations": ({"sympy", "numpy"}, {"dynamics": VOCABULARY - {"images"}}),
    "full_models": (
        {"torch", "numpy", "numba", "llvmlite", "sklearn", "kornia", "PIL", "tqdm"},  # llvmlite: numba's own
        {"dynamics": VOCABULARY | {"machine", "points", "machine_code", "vector_width", "exponential"}},
    ),
    "figures": (
        {"matplotlib", "numpy", "jinja2", "markupsafe", "latex2mathml"},
        {"derivations": {"claim", "registry", "assumption"}},
    ),
    "noncollapse": (None, dict.fromkeys(ROOMS)),
}


def imports(path: Path) -> set[str]:
    """Dotted names of every import in the file, also those inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(room: str, names: set[str]) -> list[str]:
    packages, rooms = ALLOWED[room]
    out = []
    for name in names:
        head, *rest = name.split(".")
        if head in ROOMS:
            if head == room:
                continue
            modules = rooms.get(head, set())
            if modules is not None and (not rest or rest[0] not in modules):
                out.append(name)
        elif packages is not None and head not in sys.stdlib_module_names and head not in packages:
            out.append(name)
    return out


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_the_table_allows(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    found = {str(f.relative_to(ROOT)): bad for f in files if (bad := violations(room, imports(f)))}
    assert not found


def test_the_table_can_fail() -> None:
    assert violations("derivations", {"dynamics.solver.integrate", "torch", "sympy"}) != []
    assert violations("figures", {"dynamics.simulate.flow"}) == ["dynamics.simulate.flow"]
    assert violations("full_models", {"derivations.claim"}) == ["derivations.claim"]
