"""A run's own Feast store: the repository's definitions over the run's folder, with registry and online store in it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from feature_repo.derived_tables import DERIVED_TABLES, derive_table
from feature_repo.errors import SourceDataError
from training.atomic import write_parquet
from training.progress import Progress

__all__ = ["SERVICE", "apply", "derive_features", "materialise", "online_path", "open_store"]

SERVICE = "purchase_within_horizon"
REPOSITORY = Path(__file__).resolve().parents[2] / "feature_repo"


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


def open_store(out: Path, online: Path | None = None, project: str | None = None) -> Any:
    """Return a `feast.FeatureStore` as in `feature_store.yaml`, but with the run's own registry and online store.

    Args:
        out: the run's folder; the registry is `<out>/feast/registry.db`.
        online: another online store than `<out>/feast/online.db`.
        project: another project than the one of `feature_store.yaml`; it has a registry of its own.
    """
    from feast import FeatureStore, RepoConfig

    raw = yaml.safe_load((REPOSITORY / "feature_store.yaml").read_text(encoding="utf-8"))
    folder = out.resolve() / "feast"
    folder.mkdir(parents=True, exist_ok=True)
    registry = folder / ("registry.db" if project is None else f"registry_{project}.db")
    raw["project"] = project or raw["project"]
    raw["registry"]["path"] = f"sqlite:///{registry}"
    raw["online_store"]["path"] = str((online or online_path(out)).resolve())
    config = RepoConfig(**raw)
    config.repo_path = REPOSITORY
    return FeatureStore(config=config)


def online_path(out: Path) -> Path:
    """Where a run's online store lies."""
    return out / "feast" / "online.db"


def apply(store: Any, out: Path) -> list[str]:
    """Register every definition over the run's folder, and return the names of the views.

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
    store.apply(list(objects.values()))
    return sorted(view.name for view in store.list_feature_views())


def materialise(store: Any, at: datetime, start: datetime, views: list[str]) -> None:
    """Write the newest values known at `at` to the online store, for keys with a row since `start`."""
    store.materialize(start_date=start, end_date=at, feature_views=views)
