"""Arrow without pandas, for a process that needs none."""

import sys
from importlib.machinery import ModuleSpec

__all__ = ["forgo_pandas"]


def forgo_pandas() -> None:
    """Have Arrow find no pandas: else it imports it with its first array, for a third of a small ingest's whole time.

    Arrow looks once and for all; whoever else imports pandas later in this process gets it, but Arrow will not know it.
    """
    import pyarrow as pa

    hidden = _NoPandas()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array([0])  # here Arrow looks
    finally:
        sys.meta_path.remove(hidden)


class _NoPandas:
    """A finder of modules that says that there is no pandas."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Leave all other modules to the other finders."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out", name=name)
        return None
