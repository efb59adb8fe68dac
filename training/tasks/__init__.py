"""What can be asked: one module a task, found by its name, each with its anchors, label, features and figures."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from feature_repo.errors import SettingsError

if TYPE_CHECKING:
    from training.tasks.contract import Task

__all__ = ["task_named", "task_names"]

_NO_TASKS = ("__init__", "contract", "published")


def task_names() -> list[str]:
    """Return the names of all tasks in alphabetical order, without importing any of them."""
    return sorted(module.stem for module in Path(__file__).parent.glob("*.py") if module.stem not in _NO_TASKS)


def task_named(name: str) -> "Task":
    """Return the task of the module `name`.

    Raises:
        SettingsError: there is none; the message lists the known ones.
    """
    if name not in task_names():
        raise SettingsError(
            f"Unknown task: got {name!r}; expected one of {', '.join(task_names())}. Change [task] name, or add a "
            "module training/tasks/<name>.py that defines TASK."
        )
    found: Task = import_module(f"{__name__}.{name}").TASK
    return found
