"""The members of the ensemble: one folder each, found by its `model.py`, all under the contract of `contract.py`."""

import importlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from feature_repo.errors import InputError
from training.models.contract import Member
from training.required_packages import PLATFORM, not_installed

__all__ = [
    "LEAVE_OUT",
    "installed_members_for",
    "member",
    "member_names",
    "members",
    "members_for",
    "require_members_for",
]

LEAVE_OUT = ", or leave the member out: name the others with --member, or as `members` in [train]"
"""What else one can do where a member's package is not installed."""


def member_names() -> list[str]:
    """Return the names of all members in alphabetical order, without importing any of them."""
    return sorted(model.parent.name for model in Path(__file__).parent.glob("*/model.py"))


def member(name: str) -> Member:
    """Return the member of the folder `name`.

    One that cannot be loaded is an error, and no member less: one that silently disappears would change the ensemble,
    and nobody would know.

    Raises:
        InputError: there is no such folder, and the message lists the known members; a package of the platform that it
            imports is not installed, and the message has the command; or its `model.py` defines no such member.
    """
    if name not in member_names():
        raise InputError(
            f"Member {name!r} is not known; expected one of {', '.join(member_names())}. "
            "Correct the name, or add a folder training/models/<name>/ with a model.py that defines MEMBER."
        )
    try:
        found: Member = importlib.import_module(f"{__name__}.{name}.model").MEMBER
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PLATFORM:
            raise _broken(name, f"{type(error).__name__}: {error}") from error
        raise not_installed(f"Member {name!r}", package, LEAVE_OUT) from error
    except (ImportError, AttributeError, SyntaxError, NameError) as error:
        raise _broken(name, f"{type(error).__name__}: {error}") from error
    missing = [part for part in ("name", "parameters", "fit") if not hasattr(found, part)]
    if missing:
        raise _broken(name, f"its MEMBER has no {' and no '.join(missing)}")
    if found.name != name:
        raise _broken(name, f"its MEMBER is called {found.name!r}")
    return found


def _broken(name: str, why: str) -> InputError:
    return InputError(
        f"Member {name!r} cannot be taken from training/models/{name}/model.py: {why}; expected a MEMBER of the "
        "folder's name, with parameters and fit (training/models/contract.py). Mend it, or remove the folder."
    )


def members() -> dict[str, Member]:
    """Return all members by name; libraries that only fitting needs (TensorFlow) stay unloaded."""
    return {name: member(name) for name in member_names()}


def members_for(task: str, *, sequences: bool = True) -> list[str]:
    """Return the names of the members that can answer `task`, in alphabetical order.

    Without `sequences` among the features, those that read nothing else are left out.

    Raises:
        InputError: a package that one imports is not installed: which members there are is not changed silently.
    """
    return [
        name
        for name, found in members().items()
        if task in getattr(found, "tasks", (task,)) and (sequences or not getattr(found, "needs_sequence", False))
    ]


def installed_members_for(task: str) -> list[str]:
    """Return what `members_for` does, but for those whose packages are not installed: what a message may propose."""
    found = []
    for name in member_names():
        with suppress(InputError):
            if task in getattr(member(name), "tasks", (task,)):
                found.append(name)
    return found


def require_members_for(task: str, names: Iterable[str]) -> None:
    """Refuse members that cannot answer `task`.

    Raises:
        InputError: one is not known, or answers other tasks only; those that can are listed.
    """
    for name in names:
        tasks = getattr(member(name), "tasks", (task,))
        if task not in tasks:
            raise InputError(
                f"Member {name!r} answers {', '.join(tasks)} only; got the task {task!r}; expected some of "
                f"{', '.join(installed_members_for(task))}. Leave it out."
            )
