"""Where the workers of one service leave their figures for each other: a folder of their own, for as long as it serves.

BentoML has one folder in its home for all services, and empties it whenever another one starts: the figures of two
would be added up, and those of the first be lost when the second begins.
"""

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["VARIABLE", "make_figures_folder", "use_figures_folder"]

VARIABLE = "INTENT_FIGURES_FOLDER"
"""How the process that starts the workers tells them the folder."""
_LIBRARY = "PROMETHEUS_MULTIPROC_DIR"
_log = logging.getLogger("bentoml.intent")


def make_figures_folder() -> Path:
    """Make a folder for the workers that this process is about to start; it is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="purchase-intent-figures-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = str(folder)
    return folder


def use_figures_folder() -> None:
    """Have the library write to the folder that this worker was told, or to BentoML's where it was told none.

    Where it cannot be written, this worker keeps its figures to itself, and the log says so: it serves all the same.
    """
    folder = os.environ.get(VARIABLE) or os.environ.get(_LIBRARY)
    if not folder:
        return
    os.environ[_LIBRARY] = folder
    try:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody may have tidied up since
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _log.error("The folder of figures cannot be written (%s): each worker shows its own alone.", error.strerror)
        _keep_figures_here()


def _keep_figures_here() -> None:
    del os.environ[_LIBRARY]
    from prometheus_client import values

    values.ValueClass = values.MutexValue  # what the library looked for when it was imported
