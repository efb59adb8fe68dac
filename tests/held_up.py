"""How long the machine held this process up: its threads were ready to run and had no processor (Linux)."""

import contextlib
from pathlib import Path

_TASKS = Path("/proc/self/task")


def held_up_seconds() -> float:
    """Return what all threads of this process have waited for a processor so far; 0 where the system does not tell."""
    waited = 0
    with contextlib.suppress(OSError):
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError):  # the thread has just ended
                waited += int((task / "schedstat").read_text().split()[1])
    return waited / 1e9
