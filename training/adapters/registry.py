"""Which adapters there are: every module of this folder that has an `ADAPTER`."""

import pkgutil
from importlib import import_module

from feature_repo.errors import SettingsError
from training.adapters.contract import Adapter, TabularAdapter

__all__ = ["adapter_named", "adapters"]

PACKAGE = "training.adapters"


def adapters() -> dict[str, Adapter | TabularAdapter]:
    """Return every adapter by its name, in alphabetical order; a module that is dropped into the folder is found."""
    paths = import_module(PACKAGE).__path__
    modules = (import_module(f"{PACKAGE}.{found.name}") for found in pkgutil.iter_modules(paths))
    found = [module.ADAPTER for module in modules if hasattr(module, "ADAPTER")]
    return {adapter.description.name: adapter for adapter in sorted(found, key=lambda one: one.description.name)}


def adapter_named(name: str) -> Adapter | TabularAdapter:
    """Return the adapter of that name.

    Raises:
        SettingsError: there is none; the message lists the known ones.
    """
    known = adapters()
    if name not in known:
        raise SettingsError(
            f"Unknown adapter: got {name!r}; expected one of {', '.join(known)}. Change [data] adapter or --adapter."
        )
    return known[name]
