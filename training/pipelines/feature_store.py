"""A run's own Feast store: the repository's definitions over the run's folder, with registry and online store in it."""

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from feature_repo.derived_tables import DERIVED_TABLES, SPILL_PREFIX, derived_batches
from feature_repo.errors import DependencyDown, InputError, SettingsError, SourceDataError
from training.atomic import write_json, write_parquet_batches
from training.dataset.log_manifest import require_whole_log, stream_position
from training.dataset.time_splits import microseconds
from training.pipelines.profiles import REPOSITORY, store_settings, uses_files
from training.progress import Progress

__all__ = [
    "PROJECT",
    "SERVICE",
    "apply",
    "derive_features",
    "derive_from_log",
    "materialise",
    "online_path",
    "open_store",
    "require_current_features",
    "service_schema",
    "superfluous",
    "views_read",
]

PROJECT = "purchase_intent"
SERVICE = "purchase_within_horizon"
_MADE_FROM = Path("features") / "made_from.json"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_SQLITE = "sqlite:///"
_ENGINE = "intent_stores.batch_engine.ChunkedBatchEngine"


def derive_features(out: Path, progress: Progress) -> dict[str, int]:
    """Write the tables behind the views to `<out>/features/`, and return their row counts."""
    for left in out.glob(f"{SPILL_PREFIX}*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    rows = {}
    with progress.task("deriving feature tables", len(DERIVED_TABLES), "tables") as task:
        for name in DERIVED_TABLES:
            with derived_batches(name, out) as batches:
                rows[name] = write_parquet_batches(out / "features" / f"{name}.parquet", batches)
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
    out: Path,
    online: Path | None = None,
    project: str | None = None,
    registry: Mapping[str, Any] | None = None,
    ledger: str | None = None,
    scratch: bool = False,
) -> Any:
    """Return a `feast.FeatureStore` as the profile has it, with files of its own where it stands on files.

    Args:
        out: the run's folder.
        online: another online store than `<out>/feast/online.db`, if it is a file.
        project: another project than the profile's; a registry that is a file is another one then.
        registry: more settings of the registry.
        ledger: URL of another ledger of materialisation than the profile's; a relative SQLite path starts here.
        scratch: the run is made up and soon gone: registry, online store and ledger are files of it in every profile.

    Raises:
        SettingsError: the profile cannot be used.
        DependencyDown: the registry does not answer.
    """
    from feast import FeatureStore, RepoConfig
    from sqlalchemy.exc import OperationalError

    settings = store_settings(out, online, project, scratch)
    settings["registry"] |= registry or {}
    settings["batch_engine"] = _engine_settings(settings, out, online, ledger)
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


def _engine_settings(settings: dict[str, Any], out: Path, online: Path | None, ledger: str | None) -> Any:
    if ledger is None and online not in (None, online_path(out)) and uses_files(settings):
        ledger = f"{_SQLITE}{Path(str(online)).with_suffix('.ledger.db')}"  # another store has a history of its own
    engine = settings.get("batch_engine") or {"type": _ENGINE, "ledger": f"{_SQLITE}{online_path(out)}.ledger.db"}
    if ledger is None or not isinstance(engine, dict):
        return engine
    path = ledger.removeprefix(_SQLITE)
    return engine | {"ledger": ledger if path == ledger else f"{_SQLITE}{Path(path).resolve()}"}


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
    online: Path | None = None,
    project: str | None = None,
    views: list[str] | None = None,
    ledger: str | None = None,
    rebuild: bool = False,
    only_new: bool = False,
) -> dict[str, int]:
    """Bring online what was known at `at`, and return for each view how many keys that took.

    The store is written in place, chunk by chunk: what was pushed and is newer stays, readers see each row as it was or
    as it is, and the same call after a kill goes on where it was. See `intent_stores.materialization`.

    Args:
        out: the run's folder.
        at: only rows with `event_timestamp <= at` and `created_timestamp <= at` count.
        online: the SQLite file to write, where the profile's store is a file; `online_path(out)` unless given.
        project: a Feast project of its own, for a replay beside the running one; its rows are written anew.
        views: only these; None means all.
        ledger: URL of another ledger than the profile's.
        rebuild: first remove the views' online rows, pushed ones included.
        only_new: read only what became known since the last run (less the engine's look-back) instead of every key.

    Raises:
        InputError: the online store already holds what was known later than `at`. Nothing was changed.
        SettingsError: the profile names another batch engine, or cannot be used.
        DependencyDown: the online store or the ledger cannot be written; the same call again goes on.
    """
    store = open_store(out, online, project, ledger=ledger)
    names = [name for name in apply(store, out) if views is None or name in views]
    engine, keys = _engine(store), {}
    anew = rebuild or project is not None
    with _dependencies():
        if not anew:
            _refuse_to_go_back(engine, store, names, at)
        for name in names:
            view = store.get_feature_view(name)
            if anew:
                engine.drop(view)
            follow = partial(_Bar, progress, f"materialising {name}")
            keys[name] = engine.materialize_view(
                view, at, everything=not only_new, sequence=stream_position(out), bar=follow
            ).rows
        engine.online_store.packed_store(store.config).close()
    return keys


def _engine(store: Any) -> Any:
    engine = store._get_provider().batch_engine
    if not hasattr(engine, "materialize_view"):
        raise SettingsError(
            f"The profile's batch engine is {type(engine).__name__}; expected {_ENGINE}, which goes on after a kill. "
            "Name it under batch_engine, or materialise with Feast's own command."
        )
    return engine


def _refuse_to_go_back(engine: Any, store: Any, names: list[str], at: datetime) -> None:
    held = {name: engine.watermark(store.get_feature_view(name)) for name in names}
    newest = max((mark.end_us for mark in held.values() if mark is not None), default=0)
    if newest > microseconds(at):
        raise InputError(
            f"The online store holds what was known at {_BEGINNING + timedelta(microseconds=newest):%Y-%m-%d %H:%M:%S} "
            f"UTC, but {at:%Y-%m-%d %H:%M:%S} UTC was asked for, which is earlier; a store goes only forward. Give a "
            "later --at, or --rebuild, which first removes this project's online rows, pushed ones included."
        )


class _Bar:
    """A task of `Progress` as the engine follows it."""

    def __init__(self, progress: Progress, what: str, rows: int) -> None:
        self._task = progress.task(what, rows, "rows")
        self._task.__enter__()

    def update(self, rows: int) -> None:
        self._task.advance(rows)

    def close(self) -> None:
        self._task.__exit__(None, None, None)


@contextmanager
def _dependencies() -> Iterator[None]:
    """Tell an online store or a ledger that is away as this project's errors do."""
    try:
        yield
    except Exception as error:
        # The plug-ins are loaded by Feast alone, so their errors are known by name.
        if type(error).__name__ in ("OnlineStoreUnavailableError", "LedgerError"):
            raise DependencyDown(str(error)) from error
        raise


def views_read(out: Path) -> list[str]:
    """Return the names of the views that the models of the run in `out` read, by its data set."""
    return list(json.loads((out / "dataset" / "features.json").read_text())["views"])
