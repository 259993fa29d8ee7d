"""`verify`: climb many claims side by side, write each record as it is made, resume from what is fresh."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from derivations.registry import CLAIMS
from noncollapse import fault
from noncollapse.budget import BUDGETS, Budget
from noncollapse.engine import processes
from noncollapse.errors import RecordError
from noncollapse.ladder import climb
from noncollapse.memory import words_of
from noncollapse.records import PARTIAL, WHOLE, is_fresh, load, save, write_json
from noncollapse.sweep import SweepError, outcomes
from noncollapse.transfer import deep_is_fresh, deep_names, deep_runs, measure, run_deep


@dataclass(frozen=True)
class Job:
    """One unit of work: a claim, a deep run or a picture, by name."""

    kind: str
    name: str
    results: str
    budget: str
    seed: int
    rungs: tuple[str, ...] | None = None
    device: str = "cpu"


def perform(job: Job) -> str | None:
    """Do one job and write its record; an error in one comes back as a sentence and stops no other."""
    results, budget = Path(job.results), BUDGETS[job.budget]
    try:
        if job.kind == "claim":
            _climb(results, job, budget)
        elif job.kind == "deep":
            run_deep(results, job.name, budget, job.device)
        else:
            from noncollapse.pictures import save as save_picture

            save_picture(results, job.name)
    except MemoryError as error:
        return f"{job.name}: memory is too small ({words_of(error)}): give fewer processes, such as -j 1"
    except (Exception, SystemExit) as error:  # a fault in one claim must not lose the others
        return _sentence(job.name, error)
    return None


def _sentence(name: str, error: BaseException) -> str:
    """What a claim, a deep run or a picture met, in one sentence that begins with its name."""
    said = fault.words(error)
    return said if said.startswith(f"{name}: ") else f"{name}: {said}"


def _climb(results: Path, job: Job, budget: Budget) -> None:
    result = climb(CLAIMS[job.name], budget, job.seed, job.rungs)
    if job.rungs is not None:
        result.record["provenance"]["command"] += "".join(f" --rung {r}" for r in job.rungs)
    save(results, result.record, result.trace, partial=job.rungs is not None)


def verify(
    ids: Sequence[str],
    results: Path,
    budget: str,
    jobs: int,
    seed: int = 0,
    rungs: tuple[str, ...] | None = None,
    force: bool = False,
    device: str = "cpu",
) -> list[str]:
    """Bring the records of `ids` (and the deep runs they speak of) up to date; returns the errors met, one line each."""
    plan = [Job("claim", i, str(results), budget, seed, rungs) for i in ids
            if force or rungs is not None or not is_fresh(results, load_or_none(results, i), budget, seed)]  # fmt: skip
    wants_deep = rungs is None or "deep" in rungs
    deep = _deep_wanted(ids) if wants_deep else []
    plan = [
        Job("deep", n, str(results), budget, seed, device=device) for n in deep if not deep_is_fresh(results, n, budget)
    ] + plan
    errors = list(run_all(plan, jobs, f"{len(ids)} claims"))
    if wants_deep:
        errors += _attach_transfer(ids, results, WHOLE if rungs is None else PARTIAL)
    return errors


def _deep_wanted(ids: Sequence[str]) -> list[str]:
    """The deep runs these claims ask of, slowest first; all of them where all claims are verified."""
    asked = {name for i in ids if (t := CLAIMS[i].transfer) for name in t.deep}
    names = deep_names()
    return sorted((n for n in names if n in asked or len(ids) == len(CLAIMS)), key=lambda n: "resnet" not in n)


def load_or_none(results: Path, claim_id: str, name: str = WHOLE) -> dict[str, Any] | None:
    """The record, or None where there is none or it cannot be read: verifying writes a new one."""
    try:
        return load(results, claim_id, name)
    except RecordError:
        return None


def run_all(plan: Sequence[Job], jobs: int, title: str) -> Iterator[str]:
    """Perform the jobs in `jobs` processes with a progress bar; yields errors."""
    if not plan:
        return
    bar = tqdm(
        total=len(plan), desc=title, unit="job", file=sys.stderr, disable=None if os.environ.get("CI") is None else True
    )
    with bar:
        for job, error in _outcomes(plan, jobs):
            bar.set_postfix_str(job.name[:28])
            bar.update()
            if error:
                yield error


def _outcomes(plan: Sequence[Job], jobs: int) -> Iterator[tuple[Job, str | None]]:
    """(job, its error or None) as they come; what was lost with a dead worker is done again."""
    if jobs == 1:
        yield from ((job, perform(job)) for job in plan)
        return
    # fork: workers inherit the loaded registry; torch is not loaded in this process, so no thread pool is copied. With a GPU
    # it is, to ask for one, and CUDA does not survive a fork.
    method = "fork" if all(job.device == "cpu" for job in plan) else "spawn"
    try:
        for i, outcome in outcomes(perform, [(job,) for job in plan], processes(min(jobs, len(plan)), method)):
            failed = isinstance(outcome, Exception)  # an exception without words must not pass for "no error"
            yield plan[i], f"{plan[i].name}: {type(outcome).__name__}: {outcome}" if failed else outcome
    except SweepError as error:
        raise ChildProcessError(f"{error}, for instance -j 1") from None


def _attach_transfer(ids: Iterable[str], results: Path, file: str) -> list[str]:
    """Write what the deep runs say of each claim into its record in that file; returns the errors met."""
    errors = []
    for claim_id in ids:
        claim, record = CLAIMS[claim_id], load_or_none(results, claim_id, file)
        if claim.transfer is None or record is None:
            continue
        try:
            record["transfer"] = measure(claim, deep_runs(results, claim))
            write_json(results / claim_id / file, record)
        except (Exception, SystemExit) as error:  # as for the climb: a fault in one gauge must not lose the others
            errors.append(_sentence(claim_id, error))
    return errors
