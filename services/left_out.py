"""Libraries that others take in where they find them, left out where nobody here needs them: they cost seconds."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

__all__ = ["left_out"]


@contextmanager
def left_out(name: str) -> Iterator[None]:
    """While the block runs, have imports of the module `name` fail as if it were not installed.

    What was imported before stays, and whoever imports it afterwards gets it.

    >>> with left_out("colorsys"):
    ...     import colorsys
    Traceback (most recent call last):
    ModuleNotFoundError: 'colorsys' is left out
    """
    hidden = _Without(name)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)


class _Without:
    """A finder of modules that says that there is none of one name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Leave all other modules to the other finders."""
        if name == self._name:
            raise ModuleNotFoundError(f"{name!r} is left out", name=name)
        return None
