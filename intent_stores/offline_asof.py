"""A Feast offline store whose point-in-time joins lose nothing: `ASOF JOIN` in DuckDB, row for row, out of core.

    offline_store:
        type: intent_stores.offline_asof.AsofOfflineStore

Feast requires the store and its configuration in one module.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import PositiveInt, StrictBool, StrictStr

from intent_stores import historical, latest_rows, offline_writes
from intent_stores.duckdb_session import SessionLimits, duckdb_session
from intent_stores.offline_monitoring import WithoutMonitoring
from intent_stores.parquet_source import open_source
from intent_stores.retrieval_job import AsofRetrievalJob


class AsofOfflineStoreConfig(FeastConfigBaseModel):
    """Settings under `offline_store:` in `feature_store.yaml`; all but `type` may be left out."""

    type: Literal["intent_stores.offline_asof.AsofOfflineStore"] = "intent_stores.offline_asof.AsofOfflineStore"

    memory_limit: StrictStr | None = None
    """The most memory that a join may use before it spills ("4GB"). Default: 80 % of the machine."""

    temp_directory: StrictStr | None = None
    """Where to spill. Default: the system's folder for temporary files. Emptied after each call."""

    max_temp_directory_size: StrictStr = "20GB"
    """The most that may be spilled; beyond it a join fails rather than fill the disk."""

    threads: PositiveInt | None = None
    """How many threads a join may use. Default: all cores."""

    filter_by_created_timestamp: StrictBool = True
    """Whether a row counts only from its created_timestamp on. False: creation times only order ties."""


class AsofOfflineStore(WithoutMonitoring):
    """Exact point-in-time joins over Parquet, with sequences as features. See the configuration class for settings."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[Any],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Join features to entity rows as they were known at each row's moment.

        Arguments:
            entity_df: rows with the join keys and one timestamp column (`event_timestamp`, or the only one), as a
                DataFrame or as SQL for DuckDB; None means one row for each key seen between the dates, at
                `end_date`. Naive timestamps are UTC.
            filter_by_created_timestamp: True filters by creation time even if the configuration does not.

        Returns:
            A job whose result has exactly the entity rows, in their order, with their columns first. A feature is
            null where no row with `t - ttl <= event_timestamp <= t` (and `created_timestamp <= t`) exists; for a
            source tagged `sequence.length` it is a list, oldest event first, empty where there are none.

        Raises:
            EntityRowsError: the entity rows cannot be joined.
            SourceError: a source, or a column of it, is not as the view says.
        """
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        request = historical.HistoricalRequest(
            limits=session_limits(config),
            repo_path=config.repo_path,
            feature_views=feature_views,
            feature_refs=feature_refs,
            entity_df=entity_df.copy() if isinstance(entity_df, pd.DataFrame) else entity_df,
            full_feature_names=full_feature_names,
            known_only=config.offline_store.filter_by_created_timestamp or filter_by_created_timestamp,
            start_date=start_date,
            end_date=end_date,
            on_demand=on_demand,
        )
        historical.check(request)
        frame = request.entity_df if isinstance(request.entity_df, pd.DataFrame) else None
        return AsofRetrievalJob(
            evaluate=partial(historical.evaluate, request),
            repo_path=config.repo_path,
            on_demand_feature_views=on_demand,
            full_feature_names=full_feature_names,
            metadata=partial(historical.metadata, request),
            caller_frame=None if frame is None else frame.reset_index(drop=True),
            evaluate_coded=partial(historical.evaluate, request, dictionaries=True),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Return a job for each key's latest row in `start_date … end_date` (both included), as known at the end.

        A source tagged `sequence.length` gives one row for each key with lists of its last events up to the end.
        """
        pull = partial(
            _pull, True, config, data_source, join_key_columns, feature_name_columns, timestamp_field,
            created_timestamp_column, start_date, end_date,
        )  # fmt: skip
        return AsofRetrievalJob(evaluate=pull, repo_path=config.repo_path)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return a job for all rows in `start_date … end_date` (both included), as known at the end.

        A source tagged `sequence.length` gives one row for each key, as `pull_latest_from_table_or_query` does:
        Feast materialises through either, and a list cannot be put together from rows online.
        """
        pull = partial(
            _pull, False, config, data_source, join_key_columns, feature_name_columns, timestamp_field,
            created_timestamp_column, start_date, end_date,
        )  # fmt: skip
        return AsofRetrievalJob(evaluate=pull, repo_path=config.repo_path)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: Any, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Append rows to a view's source: a new part file in a folder; a single file is rewritten.

        Raises:
            SourceError: the source is not one that can be written.
            SourceColumnMissingError: the rows lack a column of the source, or have one too many.
            WriteError: they could not be written; the source is as it was.
        """
        offline_writes.append_rows(session_limits(config), config.repo_path, feature_view, table)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig, data: pa.Table | Path, source: Any, logging_config: Any, registry: Any
    ) -> None:
        """Append logged features (an Arrow table, or a folder of Parquet) to a logging destination.

        Raises:
            WriteError: they could not be written; what was logged before is as it was.
        """
        offline_writes.append_logs(config.repo_path, data, logging_config.destination)


def session_limits(config: RepoConfig) -> SessionLimits:
    """Return what a join may use, from `feature_store.yaml`; relative folders start there."""
    settings, root = config.offline_store, config.repo_path
    spill = settings.temp_directory
    if spill is not None and root is not None:
        spill = str(Path(root) / spill)
    return SessionLimits(
        memory_limit=settings.memory_limit,
        temp_directory=spill,
        max_temp_directory_size=settings.max_temp_directory_size,
        threads=settings.threads,
        search_path=None if root is None else str(root),
    )


def _pull(
    latest: bool,
    config: RepoConfig,
    data_source: Any,
    join_key_columns: list[str],
    feature_name_columns: list[str],
    timestamp_field: str,
    created_timestamp_column: str | None,
    start_date: datetime | None,
    end_date: datetime | None,
) -> pa.Table:
    with duckdb_session(session_limits(config)) as connection:
        source = open_source(connection, data_source, config.repo_path)
        request = latest_rows.pull_request(
            source, join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column,
            start_date, end_date, config.offline_store.filter_by_created_timestamp,
        )  # fmt: skip
        if source.sequence_length is not None:
            return latest_rows.latest_sequences(connection, request, source.sequence_length)
        pull = latest_rows.latest_rows if latest else latest_rows.all_rows
        return pull(connection, request)
