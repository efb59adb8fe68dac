"""A batch engine for Feast that materialises in chunks, resumes what was killed and misses no late row.

    batch_engine:
        type: intent_stores.batch_engine.ChunkedBatchEngine
        ledger: sqlite:///data/materialization.db

`feast materialize` and `feast materialize-incremental` then go through it. It takes over every view that is copied from
its source into a packed online store; a view that is transformed or aggregated, or one for another online store, goes
through Feast's local engine as before.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, StrictStr

from intent_stores.errors import ConfigurationError
from intent_stores.materialization import (
    Bar,
    Materialization,
    Materialized,
    drop_view,
    held_watermark,
    materialize_view,
)
from intent_stores.materialization_ledger import Ledger, Watermark
from intent_stores.packed_online_store import PackedOnlineStore
from intent_stores.packed_reader import microseconds


class ChunkedBatchEngineConfig(FeastConfigBaseModel):
    """Settings under `batch_engine:` in `feature_store.yaml`; all but `type` may be left out."""

    type: Literal["intent_stores.batch_engine.ChunkedBatchEngine"] = "intent_stores.batch_engine.ChunkedBatchEngine"

    ledger: StrictStr = "sqlite:///data/materialization.db"
    """Where runs and watermarks are kept: SQLite (a relative path starts at the folder of `feature_store.yaml`) or
    `postgresql://user:password@host:port/database`."""

    chunk_rows: PositiveInt = 20_000
    """Rows that are read and written at a time: what a killed run may have to do again, and what bounds its memory."""

    look_back_hours: NonNegativeFloat = 24.0
    """How long before the last run's end is read again. A row whose creation time lies after that end is found however
    old it is; the look-back is for rows that reached the source later than their creation (or event) time says."""

    lock_wait_seconds: PositiveFloat = 600.0
    """How long a run waits for another run of the same view."""


class ChunkedBatchEngine(LocalComputeEngine):
    """See the module. Any number of runs may be started at once: those of one view take turns."""

    def __init__(self, **settings: Any) -> None:
        parts = {name: settings.pop(name) for name in ("repo_config", "offline_store", "online_store")}
        super().__init__(**parts)
        self._settings = ChunkedBatchEngineConfig(**settings)
        waits, folder = self._settings.lock_wait_seconds, self.repo_config.repo_path
        self._ledger = Ledger(self._settings.ledger, waits, folder)

    def materialize_view(
        self,
        view: Any,
        end: datetime,
        *,
        everything: bool = False,
        sequence: int = 0,
        bar: Callable[[int], Bar] | None = None,
    ) -> Materialized:
        """Bring one view online as of `end`: all of it, or what is new since its watermark (see `Materialization`).

        Raises:
            ConfigurationError: the online store is not a packed one.
            SourceError, OnlineStoreUnavailableError, LedgerError: see `materialization.materialize_view`.
        """
        job = replace(self._job(view, end), everything=everything, sequence=sequence)
        return materialize_view(job, self._ledger, bar)

    def watermark(self, view: Any) -> Watermark | None:
        """Return what the online store holds of a view for certain; None if nothing, or of another definition.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        return held_watermark(self._job(view, 0), self._ledger)

    def drop(self, view: Any) -> None:
        """Remove a view's rows from the online store; the next run brings all of them.

        Raises:
            OnlineStoreUnavailableError: the store cannot be written.
        """
        drop_view(self._job(view, 0))

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **options: Any
    ) -> LocalMaterializationJob:
        if not self._takes(task.feature_view):
            return super()._materialize_one(registry, task, **options)
        name = f"{task.feature_view.name}-{task.start_time}-{task.end_time}"
        # What was lost, such as an emptied store, is brought back from where the view's first interval began.
        begins = [task.start_time, *(start for start, _ in task.feature_view.materialization_intervals)]
        try:
            first, again = min(map(microseconds, begins)), microseconds(task.start_time)
            job = replace(self._job(task.feature_view, task.end_time), first_us=first, again_us=again)
            materialize_view(job, self._ledger, task.tqdm_builder)
        except Exception as error:
            return LocalMaterializationJob(name, MaterializationJobStatus.ERROR, error)
        return LocalMaterializationJob(name, MaterializationJobStatus.SUCCEEDED)

    def _takes(self, view: Any) -> bool:
        computed = any(getattr(view, name, None) for name in ("feature_transformation", "aggregations", "filter"))
        checked = getattr(view, "enable_validation", False) or getattr(view, "source_views", None)
        written_back = getattr(view, "offline", False)
        is_copied = view.online and view.batch_source is not None
        return (
            isinstance(self.online_store, PackedOnlineStore) and is_copied and not (computed or checked or written_back)
        )

    def _job(self, view: Any, end: datetime | int) -> Materialization:
        if not isinstance(self.online_store, PackedOnlineStore):
            raise ConfigurationError(
                f"The online store is {type(self.online_store).__name__}; expected a packed one "
                "(intent_stores.online_packed_sqlite or online_packed_redis). Set it in feature_store.yaml."
            )
        return Materialization(
            config=self.repo_config,
            offline_store=self.offline_store,
            online_store=self.online_store,
            view=view,
            end_us=microseconds(end),
            look_back_us=int(self._settings.look_back_hours * 3_600_000_000),
            chunk_rows=self._settings.chunk_rows,
        )
