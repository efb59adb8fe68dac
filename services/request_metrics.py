"""How long whole requests took, by route and status: the outermost layer, so that refusals count too.

It also tells clients to leave, while the process drains.
"""

import time
from collections.abc import Callable

from services.draining import DRAINING
from services.metrics import Metrics
from services.problem_middleware import App, Message, Receive, Send

__all__ = ["RequestMetricsMiddleware"]


class RequestMetricsMiddleware:
    """ASGI middleware. A path that is not one of ours is `other`: what somebody asks for is no label."""

    def __init__(self, app: App, paths: tuple[str, ...], metrics: Callable[[], Metrics]) -> None:
        """Prepare.

        Args:
            app: the layers below.
            paths: the routes that are told apart.
            metrics: gives the figures of this process; they are there once the server has started.
        """
        self.app = app
        self._paths = frozenset(paths)
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if DRAINING.active:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics().request(route, status, time.perf_counter() - begun)
