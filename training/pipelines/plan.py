"""What registering the definitions would change, and what online data that would cost. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.pipelines.feature_store import open_store, superfluous
from training.pipelines.profiles import store_settings

__all__ = ["Plan", "ViewChange", "plan"]


@dataclass(frozen=True)
class ViewChange:
    """A view that is registered differently.

    Attributes:
        added: features that are new, with their types.
        removed: features that go, with their types.
        retyped: feature → type now and type then.
        other: what else changes (`ttl`, `entities`, `source`): value now and value then.
        rows_missing: rows online that nobody can read any more, until the view is materialised again.
    """

    added: Mapping[str, str]
    removed: Mapping[str, str]
    retyped: Mapping[str, tuple[str, str]]
    other: Mapping[str, tuple[str, str]]
    rows_missing: int


@dataclass(frozen=True)
class Plan:
    """What `feature_store.apply` would do.

    Attributes:
        added: names of views and services that are new.
        deleted: name of a view or service that goes → rows online that go with it.
        changed: view → its change.
        unchanged: how many views and services stay as they are; only their names are compared for those that hold no
            online rows.
    """

    added: list[str] = field(default_factory=list)
    deleted: dict[str, int] = field(default_factory=dict)
    changed: dict[str, ViewChange] = field(default_factory=dict)
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not (self.added or self.deleted or self.changed)


def plan(out: Path) -> Plan:
    """Compare the definitions with what the run's registry holds.

    Raises:
        SettingsError: the profile cannot be used.
        OnlineStoreUnavailableError: the online store cannot be asked how many rows it holds.
    """
    from feature_repo.definitions import definitions

    defined = definitions(str(out.resolve())).values()
    wanted = {each.name: each for each in defined if hasattr(each, "features") or _is_service(each)}
    store = _registered(out)
    if store is None:
        return Plan(added=sorted(wanted))
    then = {view.name: view for view in store.list_feature_views()}
    names = {*then, *(each.name for each in [*store.list_on_demand_feature_views(), *store.list_feature_services()])}
    packed = store._get_provider().online_store.packed_store(store.config)
    deleted = {each.name: packed.count(each.name) if each.name in then else 0 for each in superfluous(store, wanted)}
    changed = {
        name: change
        for name, view in then.items()
        if name in wanted and (change := _change(view, wanted[name], packed)) is not None
    }
    same = len(names & wanted.keys()) - len(changed)
    return Plan(sorted(wanted.keys() - names), dict(sorted(deleted.items())), changed, same)


def _registered(out: Path) -> Any | None:
    """Open the registry without making one; None if there is none."""
    path = str(store_settings(out)["registry"]["path"])
    if path.startswith("sqlite:///") and not Path(path.removeprefix("sqlite:///")).exists():
        return None
    try:
        return open_store(out, registry={"schema_mode": "verify"})
    except Exception as error:
        if type(error).__name__ == "FeastRegistrySchemaError":  # by its name: Feast is imported in few places only
            return None
        raise


def _is_service(each: Any) -> bool:
    return hasattr(each, "feature_view_projections")


def _change(then: Any, now: Any, packed: Any) -> ViewChange | None:
    old, new = ({each.name: str(each.dtype) for each in view.features} for view in (then, now))
    added = {name: kind for name, kind in new.items() if name not in old}
    removed = {name: kind for name, kind in old.items() if name not in new}
    retyped = {name: (kind, new[name]) for name, kind in old.items() if name in new and new[name] != kind}
    before, after = _else(then), _else(now)
    other = {what: (before[what], after[what]) for what in before if before[what] != after[what]}
    if not (added or removed or retyped or other):
        return None
    unreadable = bool(added or removed or retyped or "entities" in other)
    return ViewChange(added, removed, retyped, other, packed.count(then.name) if unreadable else 0)


def _else(view: Any) -> dict[str, str]:
    source = view.batch_source
    columns = (source.timestamp_field, source.created_timestamp_column)
    return {
        "ttl": str(view.ttl),
        "entities": ", ".join(sorted(view.entities)),
        "source": f"{source.name} ({', '.join(filter(None, columns))})",
    }
