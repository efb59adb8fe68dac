"""What BentoML puts around every request and no setting takes away."""

from typing import Any

__all__ = ["without_timeout_layer"]


def without_timeout_layer(app: Any) -> bool:
    """Take BentoML's timeout out of a started Starlette `app`; return whether it was there.

    It makes a task and a timer for every request, and keeps the timer until its time is up however soon the answer
    came: at a thousand requests a second and its default of a minute, sixty thousand of them. The guard has a limit of
    its own. A server that is built otherwise keeps what it has.
    """
    layer: Any = getattr(app, "middleware_stack", None)
    while layer is not None:
        inner: Any = getattr(layer, "app", None)
        if type(inner).__name__ == "TimeoutMiddleware" and type(inner).__module__.startswith("bentoml."):
            layer.app = inner.app
            return True
        layer = inner
    return False
