"""What a process costs: its processor, its memory, and what it printed."""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass

__all__ = ["Cost", "cost"]


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and of the processor, the peak of memory, and what was printed."""

    clock: float
    processor: float
    memory_mb: float
    told: str


def cost(command: list[str]) -> Cost:
    """Run `command` on one core, and return what it cost, start-up included.

    Raises:
        RuntimeError: it failed; the message has the end of what it said.
    """
    core, began = min(os.sched_getaffinity(0)), time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip
        told = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)  # unlike `wait`, it tells the memory of this one alone
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)[:200]} failed with {process.returncode}: {said.read()[-500:]}")
    return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, told)
