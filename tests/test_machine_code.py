"""Machine code on disk is taken up again only while all its sources are what they were."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from dynamics import machine_code
from dynamics.machine_code import digest, kept_jit
from dynamics.matrix_driver import advance_all

ROOT = Path(__file__).resolve().parent.parent
CALLEE = "from dynamics.machine_code import kept_jit\n\n\n@kept_jit()\ndef rate(x):\n    return {sign}x\n"
CALLER = """from dynamics.callee import rate
from dynamics.machine_code import kept_jit


@kept_jit()
def twice(x):
    return 2 * rate(x)
"""


def test_a_digest_sees_what_is_imported_by_way_of_others() -> None:
    modules = {"dynamics.a": "from dynamics import b\n", "dynamics.b": "import dynamics.a\nx = 1\n", "dynamics.c": ""}
    text = "from dynamics.a import f\n"
    first = digest(text, modules.get)
    assert digest(text, (modules | {"dynamics.c": "x = 1\n"}).get) == first  # not imported; and a circle ends
    assert digest(text, (modules | {"dynamics.b": "import dynamics.a\nx = 2\n"}).get) != first
    assert digest(text + "\n", modules.get) != first


def test_the_stepper_is_made_of_the_field() -> None:
    """The function that is kept is the driver; its stamp is that of the flow's velocity as well."""
    text = (ROOT / "dynamics" / "matrix_driver.py").read_text()
    stamp = advance_all._cache._impl.locator.get_source_stamp()
    assert stamp == digest(text, machine_code._source)
    flipped = lambda name: (machine_code._source(name) or "").replace("-a[i]", "a[i]") or None  # noqa: E731
    assert flipped("dynamics.matrix_field") != machine_code._source("dynamics.matrix_field")
    assert stamp != digest(text, flipped)


def test_a_changed_callee_in_another_file_is_compiled_anew(tmp_path: Path) -> None:
    room = tmp_path / "dynamics"
    room.mkdir()
    shutil.copy(ROOT / "dynamics" / "machine_code.py", room)
    (room / "__init__.py").touch()
    (room / "caller.py").write_text(CALLER)
    code = "from dynamics.caller import twice; print(twice(3), sum(twice.stats.cache_hits.values()))"
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | {
        "PYTHONPATH": str(tmp_path)
    }
    said = []
    for sign in ("", "", "-"):
        (room / "callee.py").write_text(CALLEE.format(sign=sign))
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        said.append(run.stdout.split())
    assert said == [["6", "0"], ["6", "1"], ["-6", "0"]]  # compiled, kept, compiled anew
    folders = {file.parent for file in room.rglob("caller.twice*.nbi")}
    assert (
        len(folders) == 2
    )  # one a stamp: an index of the new code beside the old code could be read by a third process


def test_other_functions_keep_numbas_own_locators() -> None:
    from numba import config

    before = config.CACHE_LOCATOR_CLASSES
    kept_jit()(lambda x: x)
    assert before == config.CACHE_LOCATOR_CLASSES
