"""`draw` and `report`: hand the records to figures/, computing first what only this room may compute."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from derivations.registry import CLAIMS
from figures import FAMILIES, UnreadableRecord, draw_claim, draw_picture
from figures.report import write_report
from noncollapse.engine import processes
from noncollapse.errors import RecordError
from noncollapse.files import holds_arrays, read_json
from noncollapse.pictures import sources_hash
from noncollapse.records import WHOLE, is_stale, load
from noncollapse.sweep import outcomes
from noncollapse.verify import Job, run_all


def draw(results: Path, ids: Sequence[str], special: bool, jobs: int) -> tuple[list[Path], list[str]]:
    """Figures of the claims that recorded evidence and, if `special`, the special ones; (paths, errors)."""
    paths: list[Path] = []
    errors: list[str] = []
    if special:
        plan = [Job("picture", n, str(results), "quick", 0) for n in FAMILIES if not _picture_is_fresh(results, n)]
        errors += run_all(plan, jobs, "pictures")
        paths += _each(draw_picture, results, _computed(results), errors, jobs)
    paths += _each(draw_claim, results, [i for i in ids if _has_evidence(results, i)], errors, jobs)
    return paths, errors


def _has_evidence(results: Path, claim_id: str) -> bool:
    """True also where the record cannot be read: drawing it then says what to do."""
    path = results / claim_id / WHOLE
    try:
        return path.is_file() and bool(read_json(path)["evidence"])
    except (OSError, ValueError, KeyError, TypeError):
        return True


def report(results: Path) -> Path:
    """results/report.html from whatever records there are; of one that cannot be read the page says so."""
    stale: dict[str, bool] = {}
    damaged: dict[str, str] = {}
    for claim_id in CLAIMS:
        try:
            record = load(results, claim_id)
            stale[claim_id] = record is not None and is_stale(record)
        except RecordError as error:
            damaged[claim_id] = str(error)
    return write_report(results, list(CLAIMS.values()), stale, results / "report.html", damaged)


def _computed(results: Path) -> list[str]:
    return [name for name in FAMILIES if (results / "pictures" / f"{name}.npz").is_file()]


def _picture_is_fresh(results: Path, name: str) -> bool:
    """True if the picture can be read, and neither the code nor, for what is drawn beside them, the deep records are newer."""
    about = results / "pictures" / f"{name}.json"
    try:
        made = read_json(about)["provenance"]["sources"]
        deep = max((p.stat().st_mtime for p in (results / "deep").glob("*.npz")), default=0.0)
        return made == sources_hash() and about.stat().st_mtime >= deep and holds_arrays(about.with_suffix(".npz"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _each(
    work: Callable[[Path, str], Path], results: Path, names: Sequence[str], errors: list[str], jobs: int
) -> list[Path]:
    """work(results, name) of every name, side by side, in the names' order; a record that cannot be read is an error line."""
    if jobs == 1 or len(names) < 2:
        made = enumerate(_drawn(work, results, name) for name in names)
    else:  # fork: matplotlib is loaded once, here, and torch is not
        made = outcomes(_drawn, [(work, results, name) for name in names], processes(min(jobs, len(names)), "fork"))
    quiet = None if os.environ.get("CI") is None else True
    found: dict[int, Path] = {}
    for i, outcome in tqdm(made, total=len(names), desc="figures", unit="figure", file=sys.stderr, disable=quiet):
        if isinstance(outcome, Path):
            found[i] = outcome
        else:
            errors.append(outcome if isinstance(outcome, str) else f"{names[i]}: {type(outcome).__name__}: {outcome}")
    return [found[i] for i in sorted(found)]


def _drawn(work: Callable[[Path, str], Path], results: Path, name: str) -> Path | str:
    try:
        return work(results, name)
    except UnreadableRecord as error:
        return str(error)
