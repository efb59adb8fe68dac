"""Feast's hooks for data quality that this store does not have, refused in words rather than by a bare exception."""

from typing import Any, NoReturn

from feast.infra.offline_stores.offline_store import OfflineStore

from intent_stores.errors import NotSupportedError


class WithoutMonitoring(OfflineStore):
    """An offline store that keeps no metrics of `feast monitor` and `data_quality_monitoring`.

    Feast computes the metrics itself where a store does not, but it can keep them only in the store.
    """

    @staticmethod
    def ensure_monitoring_tables(config: Any) -> None:
        """Raise NotSupportedError: there are no such tables."""
        _refuse()

    @staticmethod
    def save_monitoring_metrics(config: Any, metric_type: str, metrics: list[dict[str, Any]]) -> None:
        """Raise NotSupportedError: there is nowhere to keep them."""
        _refuse()

    @staticmethod
    def query_monitoring_metrics(config: Any, project: str, metric_type: str, **_: Any) -> list[dict[str, Any]]:
        """Raise NotSupportedError: there are none."""
        _refuse()

    @staticmethod
    def clear_monitoring_baseline(config: Any, project: str, **_: Any) -> None:
        """Raise NotSupportedError: there is none."""
        _refuse()


def _refuse() -> NoReturn:
    raise NotSupportedError(
        "AsofOfflineStore was asked for metrics of `feast monitor` or `data_quality_monitoring`; it keeps none, and "
        "expected joins, pulls and writes only. Run the monitoring over the same files from a feature_store.yaml with "
        "offline_store: {type: duckdb}, and leave data_quality_monitoring out of this one."
    )
