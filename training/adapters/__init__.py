"""From a shop's own data to the canonical log: one adapter a source."""

from training.adapters.contract import IngestReport
from training.adapters.ingestion import ingest
from training.adapters.registry import adapters

__all__ = ["IngestReport", "adapters", "ingest"]
