"""The job that Feast hands to its user: runs when asked, again each time it is asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from intent_stores.errors import NotSupportedError
from intent_stores.parquet_files import write_dataset


class AsofRetrievalJob(RetrievalJob):
    """A join or a pull that has not run yet.

    Arguments:
        evaluate: runs it from the files as they are then; nothing is kept between two calls.
        repo_path: where relative destinations of `persist` start.
        on_demand_feature_views: views that Feast computes on the result.
        full_feature_names: whether results are named "view__feature".
        metadata: what Feast records with a saved data set.
        caller_frame: the caller's entity rows, whose columns `to_df` gives back as they came.
        evaluate_coded: the same as `evaluate`, with lists of text as dictionaries; None for a pull.
    """

    def __init__(
        self,
        evaluate: Callable[[], pa.Table],
        repo_path: str | Path | None,
        on_demand_feature_views: list[Any] | None = None,
        full_feature_names: bool = False,
        metadata: Callable[[], RetrievalMetadata] | None = None,
        caller_frame: pd.DataFrame | None = None,
        evaluate_coded: Callable[[], pa.Table] | None = None,
    ) -> None:
        super().__init__()
        self._evaluate = evaluate
        self._repo_path = repo_path
        self._on_demand_feature_views = on_demand_feature_views or []
        self._full_feature_names = full_feature_names
        self._metadata = metadata
        self._caller_frame = caller_frame
        self._evaluate_coded = evaluate_coded

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """Return the result as pandas, with the caller's own columns (dtypes too) as they came in."""
        table = self.to_arrow(validation_reference=validation_reference, timeout=timeout)
        if self._caller_frame is None:
            return table.to_pandas()
        own = self._caller_frame
        added = table.select([name for name in table.column_names if name not in own.columns])
        return pd.concat([own.copy(), added.to_pandas()], axis=1)

    def to_coded_arrow(self) -> pa.Table:
        """Return what `to_arrow` does, but lists of text as lists of dictionary codes, and no on-demand features.

        Each event's word is then read and coded once, however many lists it is in: for features computed in bulk.

        Raises:
            NotSupportedError: this is a pull, not a join.
        """
        if self._evaluate_coded is None:
            raise NotSupportedError(
                "to_coded_arrow() was called on a pull; expected a join of get_historical_features. Use to_arrow()."
            )
        return self._evaluate_coded()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._evaluate().to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._evaluate()

    @property
    def full_feature_names(self) -> bool:
        """Whether results are named "view__feature"."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """Views that Feast computes on the result."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Features, keys and time range of the request; None for a pull."""
        return self._metadata() if self._metadata else None

    def to_sql(self) -> str:
        """Raise NotSupportedError: a join is several queries and a search in memory, so no one query is the result."""
        raise NotSupportedError(
            "to_sql() was called on a join of AsofOfflineStore; it is several steps and has no single query. Use "
            "to_df() or to_arrow(), or persist() to write the result to a file."
        )

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the result to a saved data set's Parquet file or folder, whole or not at all.

        Raises:
            SavedDatasetLocationAlreadyExists: something is there and `allow_overwrite` is not set.
            WriteError: it could not be written; what was there is still there.
        """
        options = storage.file_options
        destination = str(FileSource.get_uri_for_file_path(self._repo_path, options.uri))
        write_dataset(self.to_arrow(timeout=timeout), destination, options.uri, allow_overwrite)
