"""What a feature service is, as plain data with a hash: views, fields, keys, times to live, sources, functions."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.errors import FeatureError

__all__ = ["ServiceDefinition", "describe_service"]


@dataclass(frozen=True)
class ServiceDefinition:
    """One feature service of the registry.

    `views`: batch view → what defines its values. `on_demand`: on-demand view → likewise. `sources`: batch view →
    where its rows lie; that is no part of the definition, or a copy of a run would be another service.
    """

    name: str
    views: dict[str, dict[str, Any]]
    on_demand: dict[str, dict[str, Any]]
    sources: dict[str, str]

    @property
    def keys(self) -> tuple[str, ...]:
        """Join keys of all views."""
        return tuple(dict.fromkeys(key for view in self.views.values() for key in view["join_keys"]))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the service."""
        every = (*self.views.values(), *self.on_demand.values())
        return tuple(dict.fromkeys(name for view in every for name in view["features"]))

    @property
    def request_columns(self) -> tuple[str, ...]:
        """What its on-demand views ask of a request."""
        return tuple(dict.fromkeys(name for view in self.on_demand.values() for name in view["request"]))

    @property
    def digest(self) -> str:
        """SHA-256 of the definition."""
        plain = {"name": self.name, "views": self.views, "on_demand": self.on_demand}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def describe_service(store: Any, name: str) -> ServiceDefinition:
    """Read the feature service `name` from the registry of a `feast.FeatureStore`.

    Raises:
        FeatureError: there is no such service; the message names those that there are.
    """
    services = {service.name: service for service in store.list_feature_services()}
    if name not in services:
        raise FeatureError(
            f"Feature service {name!r} is not registered; got {sorted(services)}; expected one of these. Run "
            "`intent apply`, or name another with --service."
        )
    on_demand_views = {view.name: view for view in store.list_on_demand_feature_views()}
    definition = ServiceDefinition(name, {}, {}, {})
    for projection in services[name].feature_view_projections:
        if projection.name in on_demand_views:
            view = on_demand_views[projection.name]
            definition.on_demand[view.name] = _on_demand(view, projection)
            behind = [source.name for source in view.source_feature_view_projections.values()]
        else:
            behind = [projection.name]
        for source in behind:
            view = store.get_feature_view(source)
            wanted = projection if source == projection.name else None
            definition.views[view.name] = _batch(view, wanted, definition.views.get(view.name))
            definition.sources[view.name] = str(view.batch_source.path)
    return definition


def source_files(path: str, repository: Path) -> list[Path]:
    """Return the files of a source (a file, a folder or a pattern), sorted; empty if there is none."""
    whole = repository / path
    if whole.is_file():
        return [whole]
    if whole.is_dir():
        return sorted(whole.rglob("*.parquet"))
    return sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor)))) if "*" in path else []


def _batch(view: Any, projection: Any, before: dict[str, Any] | None) -> dict[str, Any]:
    """Define a batch view; one that only feeds an on-demand view brings no feature of its own."""
    source = view.batch_source
    features = {} if projection is None else {field.name: str(field.dtype) for field in projection.features}
    return {
        "features": (before or {}).get("features", {}) | features,
        "join_keys": sorted(view.join_keys),
        "ttl_seconds": view.ttl.total_seconds() if view.ttl else 0,
        "timestamp_field": source.timestamp_field,
        "created_timestamp_column": source.created_timestamp_column or "",
        "field_mapping": dict(source.field_mapping or {}),
        "source_tags": dict(source.tags or {}),
    }


def _on_demand(view: Any, projection: Any) -> dict[str, Any]:
    transformation = view.feature_transformation
    return {
        "features": {field.name: str(field.dtype) for field in projection.features},
        "request": sorted(f.name for source in view.source_request_sources.values() for f in source.schema),
        "from": sorted(source.name for source in view.source_feature_view_projections.values()),
        "function": hashlib.sha256(str(getattr(transformation, "udf_string", "")).encode()).hexdigest(),
    }
