"""The whole table of what is served: our own routes, and what BentoML adds. What is not in it is not found."""

from collections.abc import Mapping

from services.access_control import Rule
from services.routes import ROUTES

__all__ = ["SYSTEM_RULES", "route_rules"]

_READ = frozenset({"GET", "HEAD"})
_POST = frozenset({"POST"})

SYSTEM_RULES: Mapping[str, Rule] = {
    "/livez": Rule(_READ, None),
    "/readyz": Rule(_READ, None),
    "/healthz": Rule(_READ, None),
    "/model": Rule(_READ, "score"),
    "/metrics": Rule(_READ, "admin"),
    "/": Rule(_READ, "score"),
    "/docs.json": Rule(_READ, "score"),
    "/schema.json": Rule(_READ, "score"),
    "/static_content/": Rule(_READ, "score"),
}


def route_rules() -> dict[str, Rule]:
    """Return the rule of every path."""
    return {**SYSTEM_RULES, **{route.path: Rule(_POST, route.scope, route.body_bytes) for route in ROUTES}}
