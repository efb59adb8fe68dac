"""A run's own Feast store: the repository's definitions over the run's folder, with registry and online store in it."""

import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feature_repo.derived_tables import DERIVED_TABLES, derive_table
from feature_repo.errors import DependencyDown, SourceDataError
from training.atomic import replace_file, write_json, write_parquet
from training.dataset.log_manifest import require_whole_log
from training.pipelines.profiles import REPOSITORY, store_settings, uses_files
from training.progress import Progress

__all__ = [
    "PROJECT",
    "SERVICE",
    "SERVICE_VIEWS",
    "apply",
    "derive_features",
    "derive_from_log",
    "materialise",
    "online_path",
    "open_store",
    "require_current_features",
    "service_schema",
    "superfluous",
]

PROJECT = "purchase_intent"
SERVICE = "purchase_within_horizon"
SERVICE_VIEWS = ("user_profile", "user_history", "user_baskets")
_MADE_FROM = Path("features") / "made_from.json"
_BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)


def derive_features(out: Path, progress: Progress) -> dict[str, int]:
    """Write the tables behind the views to `<out>/features/`, and return their row counts."""
    rows = {}
    with progress.task("deriving feature tables", len(DERIVED_TABLES), "tables") as task:
        for name in DERIVED_TABLES:
            table = derive_table(name, out)
            write_parquet(out / "features" / f"{name}.parquet", table)
            rows[name] = table.num_rows
            task.advance()
    return rows


def derive_from_log(out: Path, progress: Progress) -> dict[str, int]:
    """Write the tables behind the views, note from which log, and return their row counts.

    Raises:
        SourceDataError: the log is not whole.
    """
    log = require_whole_log(out)
    (out / _MADE_FROM).unlink(missing_ok=True)
    rows = derive_features(out, progress)
    write_json(out / _MADE_FROM, {"log": log})
    return rows


def require_current_features(out: Path) -> None:
    """Refuse feature tables that were not derived from the log that is there: joins would find old rows, or none.

    Raises:
        SourceDataError: there are none, they are of another log, or the log is not whole.
    """
    log, path = require_whole_log(out), out / _MADE_FROM
    if not path.is_file() or json.loads(path.read_text())["log"] != log:
        raise SourceDataError(
            f"The feature tables below {out / 'features'} are {'of another log' if path.is_file() else 'not there'}; "
            "expected tables derived from the log that is there. Run `intent apply`."
        )


def open_store(
    out: Path, online: Path | None = None, project: str | None = None, registry: Mapping[str, Any] | None = None
) -> Any:
    """Return a `feast.FeatureStore` as the profile has it, with files of its own where it stands on files.

    Args:
        out: the run's folder.
        online: another online store than `<out>/feast/online.db`, if it is a file.
        project: another project than the profile's; a registry that is a file is another one then.
        registry: more settings of the registry.

    Raises:
        SettingsError: the profile cannot be used.
        DependencyDown: the registry does not answer.
    """
    from feast import FeatureStore, RepoConfig
    from sqlalchemy.exc import OperationalError

    settings = store_settings(out, online, project)
    settings["registry"] |= registry or {}
    (out.resolve() / "feast").mkdir(parents=True, exist_ok=True)
    config = RepoConfig(**settings)
    config.repo_path = REPOSITORY
    store = FeatureStore(config=config)
    try:
        _ = store.registry  # Feast opens it on first use, where nobody expects an error of it
    except OperationalError as error:
        raise DependencyDown(
            f"Feast's registry cannot be used ({str(error.orig).strip()}); expected the database of the profile to "
            "answer. Start it, or correct the registry's address (INTENT_REGISTRY_URL in the production profile)."
        ) from error
    return store


def online_path(out: Path) -> Path:
    """Where a run's online store lies."""
    return out / "feast" / "online.db"


def apply(store: Any, out: Path) -> list[str]:
    """Register every definition over the run's folder, and return the names of the views.

    What is registered but no longer defined is removed, with its online rows; `plan` shows it beforehand.

    Raises:
        SourceDataError: the feature tables are not there yet.
    """
    from feature_repo.definitions import definitions

    missing = [name for name in DERIVED_TABLES if not (out / "features" / f"{name}.parquet").exists()]
    if missing:
        raise SourceDataError(
            f"Feature tables {missing} are not below {out / 'features'}; expected one Parquet file a view. "
            "Run `intent apply` (it derives them from the log)."
        )
    objects = definitions(str(out.resolve()))
    with warnings.catch_warnings():  # that on-demand views are experimental is nothing a reader could act on
        warnings.simplefilter("ignore", RuntimeWarning)
        wanted = {each.name: each for each in objects.values()}
        store.apply(list(objects.values()), objects_to_delete=superfluous(store, wanted), partial=False)
    return sorted(view.name for view in store.list_feature_views())


def superfluous(store: Any, wanted: Mapping[str, Any]) -> list[Any]:
    """Return the views and services that are registered, but whose names are not among the wanted ones."""
    listed = (store.list_feature_views, store.list_on_demand_feature_views, store.list_feature_services)
    return [each for names in listed for each in names() if each.name not in wanted]


def service_schema(store: Any, service: str = SERVICE) -> dict[str, Any]:
    """Return the views of a feature service as data: join keys, time to live (0 means for ever), fields and types.

    Of an on-demand view these are the views that it is computed from, for they are what must be looked up; every view
    is listed with all its fields, for a row is stored as a whole. `defaults` is what a model sees of a field where the
    store has no row: nothing, or an empty list. It goes into the bundle: the service reads the online store by it,
    without a registry.
    """
    on_demand = {view.name: view for view in store.list_on_demand_feature_views()}
    views: dict[str, dict[str, Any]] = {}
    for projection in store.get_feature_service(service).feature_view_projections:
        computed = on_demand.get(projection.name)
        behind = [projection] if computed is None else computed.source_feature_view_projections.values()
        for view in (store.get_feature_view(source.name) for source in behind):
            views[view.name] = {
                "join_keys": list(view.join_keys),
                "ttl_seconds": int(view.ttl.total_seconds()) if view.ttl else 0,
                "fields": {field.name: str(field.dtype) for field in view.features},
            }
    kinds = {field: kind for view in views.values() for field, kind in view["fields"].items()}
    return {"views": views, "defaults": {field: [] if "Array" in kind else None for field, kind in kinds.items()}}


def materialise(
    out: Path,
    at: datetime,
    progress: Progress,
    *,
    online: Path,
    project: str | None = None,
    views: list[str] | None = None,
) -> dict[str, int]:
    """Write an online store of what was known at `at`, and return how many keys each view has.

    A file is built beside `online` and put in its place when it is complete: a reader sees the old one or the new
    one, a killed run leaves the old one, and no value newer than `at` survives from an earlier run. A server is
    written in place, row by row: a newer row stays, and a killed run goes on where it was.

    Args:
        out: the run's folder.
        at: only rows with `event_timestamp <= at` and `created_timestamp <= at` count.
        online: the SQLite file to write, where the profile's store is a file.
        project: a Feast project of its own, for a replay beside the running one.
        views: only these; None means all.
    """
    if not uses_files(store_settings(out)):
        return _materialise_in_place(open_store(out, project=project), out, at, progress, views, anew=bool(project))
    building = online.with_name(f".{online.name}.building")
    building.parent.mkdir(parents=True, exist_ok=True)
    for stale in (building, *_journals(building)):
        stale.unlink(missing_ok=True)
    store = open_store(out, building, project)
    names = [name for name in apply(store, out) if views is None or name in views]
    keys = {}
    with progress.task("materialising", len(names), "views") as task:
        for name in names:
            keys[name] = _write_latest(store, name, at)
            task.advance()
    for journal in _journals(online):  # of the file that is replaced: it must not be read as the new one's
        journal.unlink(missing_ok=True)
    replace_file(building, online)
    return keys


def _materialise_in_place(
    store: Any, out: Path, at: datetime, progress: Progress, views: list[str] | None, *, anew: bool
) -> dict[str, int]:
    names = [name for name in apply(store, out) if views is None or name in views]
    engine, keys = store._get_provider().batch_engine, {}
    with progress.task("materialising", len(names), "views") as task:
        for name in names:
            view = store.get_feature_view(name)
            if anew:  # a replay of the past: nothing that is newer may be there
                engine.drop(view)
            keys[name] = engine.materialize_view(view, at, everything=True).rows
            task.advance()
    return keys


def _write_latest(store: Any, name: str, at: datetime) -> int:
    """Write what was known of a view at `at`, one row a key, and return how many."""
    view, provider = store.get_feature_view(name), store._get_provider()
    source = view.batch_source
    job = provider.offline_store.pull_latest_from_table_or_query(
        store.config,
        source,
        list(view.join_keys),
        [field.name for field in view.features],
        source.timestamp_field,
        source.created_timestamp_column,
        _BEGINNING,
        at,
    )
    written: int = provider.online_store.write_arrow(store.config, view, job.to_arrow()).written
    return written


def _journals(database: Path) -> list[Path]:
    return [database.with_name(database.name + ending) for ending in ("-wal", "-shm")]
