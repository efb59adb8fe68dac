"""Ending without losing a request: answers say `connection: close` for a moment before the connections are closed.

uvicorn closes a kept connection as soon as it owes no answer on it; a client's next request, already on its way, would
be lost. While draining, every answer asks the client not to send another one on this connection, and `/readyz` says
503, so that whoever balances the load sends its requests elsewhere.
"""

import asyncio
import signal
from types import FrameType
from typing import Any

__all__ = ["DRAINING", "Draining"]

_SECONDS = 1.0
_LOOK_SECONDS = 0.05


class Draining:
    """Whether this process is about to end. `begin` is called in the event loop of the main thread."""

    def __init__(self) -> None:
        self.active = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Take SIGTERM over from the uvicorn that runs this process; of another server nothing is changed."""
        before = signal.getsignal(signal.SIGTERM)
        state = getattr(getattr(before, "__self__", None), "server_state", None)
        if state is None or not callable(before):
            return
        loop, end = asyncio.get_running_loop(), before

        def leave(number: int, frame: FrameType | None) -> None:
            if self.active:  # asked again: at once
                end(number, frame)
            else:
                loop.call_soon_threadsafe(self._drain, state, end)

        signal.signal(signal.SIGTERM, leave)

    def _drain(self, state: Any, end: Any) -> None:
        self.active = True
        self._task = asyncio.ensure_future(self._wait(state, end))

    async def _wait(self, state: Any, end: Any) -> None:
        deadline = asyncio.get_running_loop().time() + _SECONDS
        while state.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
        end(signal.SIGTERM, None)


DRAINING = Draining()
"""This process's: signals are a process's, too."""
