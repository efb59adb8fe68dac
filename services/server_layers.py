"""What BentoML puts around every request and no setting takes away: a third of what it costs one.

All of it is found by name in a started server; one that is built otherwise keeps what it has.
"""

from collections.abc import Iterable
from typing import Any

__all__ = ["keep_api_methods", "without_headers", "without_layers"]

_NEEDLESS = {
    # It makes a task and a timer for every request, and keeps the timer until its time is up however soon the answer
    # came: at a thousand requests a second and its default of a minute, sixty thousand. The guard has its own limit.
    "TimeoutMiddleware": "bentoml.",
    # All addresses are excluded from tracing; it would only find that out for each request.
    "OpenTelemetryMiddleware": "opentelemetry.",
    # It is there only where `traffic.max_concurrency` is set, and refuses with a body that is no problem+json.
    "MaxConcurrencyMiddleware": "bentoml.",
}


def without_layers(app: Any) -> list[str]:
    """Take layers that nothing needs out of a started Starlette `app`; return their names."""
    found = []
    layer: Any = getattr(app, "middleware_stack", None)
    while layer is not None:
        inner: Any = getattr(layer, "app", None)
        maker = _NEEDLESS.get(type(inner).__name__)
        if maker is not None and type(inner).__module__.startswith(maker):
            found.append(type(inner).__name__)
            layer.app = inner.app
        else:
            layer = inner
    return found


def without_headers(app: Any) -> bool:
    """Leave out the headers that name BentoML and the service, which no caller needs; return whether they are made."""
    for route in getattr(app, "routes", ()):
        maker: Any = getattr(getattr(getattr(route, "endpoint", None), "func", None), "__self__", None)
        if hasattr(maker, "_add_response_headers"):
            maker._add_response_headers = _nothing
            return True
    return False


def keep_api_methods(instance: Any, names: Iterable[str]) -> None:
    """Have a service's API methods made once: BentoML makes one anew for each request, by inspecting its signature."""
    for name in names:
        vars(instance)[name] = getattr(instance, name)


def _nothing(_: object) -> None:
    return None
