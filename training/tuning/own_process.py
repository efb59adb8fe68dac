"""A trial in a process of its own: what it takes is given back, and what kills it does not end the study.

The child is not forked from the caller, who may have threads of OpenMP or TensorFlow: a child that inherits their locks
waits for them without end, or crashes. It is forked from a server that has imported the code and done nothing else; the
work is sent to it, examples and all. What it sends back are numbers, as bytes.
"""

import json
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import InputError

__all__ = ["CutByBudget", "OutOfMemory", "TrialFailed", "each_in_own_process"]

_LONGEST_WAIT = 1e6  # seconds; poll takes no infinity
_NUMBERS, _ERROR = b"n", b"e"

Floats = NDArray[np.float64]


class TrialFailed(InputError):
    """A trial ended with an error of its own."""


class OutOfMemory(TrialFailed):
    """A trial wanted more memory than there was, or was killed for it."""


class CutByBudget(Exception):
    """The time was over while the trial ran."""


def each_in_own_process(
    work: Callable[[int], Floats], count: int, deadline: float, imported: Sequence[str] = ()
) -> Iterator[Floats]:
    """Yield `work(0)`, `work(1)` … computed in one child, which goes on only when the next is asked for.

    Closing the generator ends the child. `work` is sent to it by `pickle`: an object of a module, not a closure.
    `deadline` is of `time.monotonic`. `imported` names modules that the first call has the server import, so that no
    child has to.

    Raises:
        OutOfMemory: the child ran out of memory, or was killed from outside.
        TrialFailed: the child raised; the message is its own.
        CutByBudget: the deadline came first.
    """
    clean = multiprocessing.get_context("forkserver")
    clean.set_forkserver_preload([type(work).__module__, *imported])
    here, there = clean.Pipe()
    child = clean.Process(target=_serve, args=(there, count), daemon=True)
    child.start()
    there.close()
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # what went wrong it says itself, or how it ended
            _hand_over(here, work)
        _receive(here, child, deadline)
        for _ in range(count):
            here.send_bytes(b"go")
            yield _receive(here, child, deadline)
    except BrokenPipeError:
        raise _killed(child) from None
    finally:
        here.close()
        child.kill()
        child.join()


def _hand_over(here: Connection, work: Callable[[int], Floats]) -> None:
    """Send the child its work, array by array: `Connection.send` would first make one string of all examples.

    As an argument of the process it would be read before anything could tell that there is no memory for it.
    """
    with os.fdopen(os.dup(here.fileno()), "wb") as stream:
        pickle.dump(work, stream, pickle.HIGHEST_PROTOCOL)


def _take_over(there: Connection) -> Callable[[int], Floats]:
    with os.fdopen(os.dup(there.fileno()), "rb") as stream:
        return pickle.load(stream)  # noqa: S301 - of the process that began this one


def _receive(here: Connection, child: multiprocessing.process.BaseProcess, deadline: float) -> Floats:
    try:
        if not here.poll(min(max(deadline - time.monotonic(), 0.0), _LONGEST_WAIT)):
            raise CutByBudget
        message = here.recv_bytes()
    except (EOFError, ConnectionResetError):
        raise _killed(child) from None
    if message[:1] == _NUMBERS:
        return np.frombuffer(message[1:], np.float64)
    told = json.loads(message[1:])
    raise (OutOfMemory if told["memory"] else TrialFailed)(told["message"])


def _killed(child: multiprocessing.process.BaseProcess) -> OutOfMemory:
    child.join(5)
    code = child.exitcode
    what = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    return OutOfMemory(f"The trial's process ended by {what}; most often the system does so when memory is short.")


def _serve(there: Connection, count: int) -> None:
    Thread(target=_end_with_caller, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the child
    try:
        work = _take_over(there)
        there.send_bytes(_NUMBERS)  # none yet: only now does the caller say more, for more could have been read with it
        for number in range(count):
            there.recv_bytes()
            there.send_bytes(_NUMBERS + np.ascontiguousarray(work(number), np.float64).tobytes())
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        reason = f": {error}" if str(error) else "."
        told = {"memory": _of_memory(error), "message": f"{type(error).__name__}{reason}"}
        there.send_bytes(_ERROR + json.dumps(told).encode())


def _end_with_caller() -> None:
    """Wait until the caller ends, however it does, and end at once: a fit may go on for minutes for nobody.

    The server that this process was forked from says nothing of it: it lives as long as this one does.
    """
    caller = multiprocessing.parent_process()
    if caller is not None:
        caller.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _of_memory(error: Exception) -> bool:
    text = str(error).lower()
    named = isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
    return named or any(words in text for words in ("bad_alloc", "out of memory", "unable to allocate"))
