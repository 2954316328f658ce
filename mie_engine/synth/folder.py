"""folder: what a dataset's folder may hold, its lock and its plan; every file in it is either whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import EnvironmentProblem, InputError, PlanError
from ..limits import MAX_PLAN_BYTES
from ..runtime.files import TEMPORARY, read_file, write_file
from .image import PLAN_FILE, PREVIEW_FILE
from .plan import Plan

DATASET_FILE, CARD_FILE = "dataset.json", "README.md"
CACHE_FOLDER = ".cache"
LOCK_FILE = ".lock"


@contextlib.contextmanager
def open_folder(out: Path) -> Iterator[Path]:
    """Make the folder, take its lock (released with the process, however it ends) and clear what a killed run left.

    Raises:
        EnvironmentProblem: it cannot be written, or another run holds it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Never through a link, which could make a file of somebody else's.
        lock = os.open(out / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise EnvironmentProblem(f"{out}: {error.strerror}. Choose a folder you may write to.") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for leftover in out.glob(TEMPORARY + "*"):
                leftover.unlink(missing_ok=True)
        except BlockingIOError as error:
            raise EnvironmentProblem(f"{out}: another run is writing there. Wait for it, or choose another folder.") from error
        except OSError as error:
            raise EnvironmentProblem(f"{error.filename or out}: {error.strerror}. Choose another folder.") from error
        yield out
    finally:
        os.close(lock)


def read_plan(out: Path) -> Plan | None:
    """The plan of the dataset in a folder; None in a folder where none has begun.

    Raises:
        PlanError: the plan cannot be read or used; or there is none, but files that a dataset would replace.
    """
    path = out / PLAN_FILE
    if not os.path.lexists(path):
        ours = [out / name for name in (CARD_FILE, PREVIEW_FILE, DATASET_FILE)]
        taken = [file for file in (*ours, *out.glob("[0-9]*.tar"), *out.glob("[0-9]*.parquet")) if os.path.lexists(file)]
        if taken:
            raise PlanError(
                f"{taken[0]}: a dataset would replace this file, and {out} has no {PLAN_FILE} that says it is one: choose an empty folder."
            )
        return None
    try:
        return Plan.from_json(read_file(path, MAX_PLAN_BYTES))
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error
    except InputError as error:
        raise PlanError(f"{error}: restore the plan, or choose another folder.") from error


def settle_plan(plan: Plan, out: Path) -> None:
    """See that the folder's plan is this one; a new folder gets it.

    Raises:
        PlanError: another plan, see read_plan. EnvironmentProblem: it cannot be written.
    """
    there = read_plan(out)
    if there is None:
        write_file(out / PLAN_FILE, plan.to_json().encode())
    elif there.hash != plan.hash:
        raise PlanError(
            f"{out / PLAN_FILE}: this folder holds another dataset ({_difference(there, plan)}). "
            "Choose another folder, or the same faces and options."
        )


def _difference(there: Plan, plan: Plan) -> str:
    old, new = json.loads(there.to_json()), json.loads(plan.to_json())
    told = [_faces(old.pop("identities"), new.pop("identities")), *_changes(old, new)]
    return "; ".join([text for text in told if text][:5])


def _faces(old: list[dict[str, str]], new: list[dict[str, str]]) -> str:
    if old == new:
        return ""
    gone, come = ([face["name"] for face in some if face not in others] for some, others in ((old, new), (new, old)))
    parts = {
        "changed since": [name for name in gone if name in come],
        "missing": [name for name in gone if name not in come],
        "new": [name for name in come if name not in gone],
    }
    told = [f"{what} {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}" for what, names in parts.items() if names]
    return f"faces: {', '.join(told) or 'in another order'}"


def _changes(old: dict[str, Any], new: dict[str, Any], within: str = "") -> Iterator[str]:
    for key in [key for key in {**old, **new} if old.get(key) != new.get(key)]:
        there, asked = old.get(key), new.get(key)
        if isinstance(there, dict) and isinstance(asked, dict):
            yield from _changes(there, asked, f"{within}{key}.")
        else:
            yield f"{within}{key}: {there} there, {asked} asked"
