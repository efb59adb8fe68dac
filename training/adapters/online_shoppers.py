"""UCI Online Shoppers Purchasing Intention: one row a session, already added up; a benchmark table, not a log.

It has no customers, no items and no times (only months), so no events can be made of it without inventing them.
"""

from pathlib import Path

import pyarrow as pa

from training.adapters.contract import Counts, DataSettings, Description, Source, TabularAdapter
from training.adapters.source_rows import named_file

__all__ = ["ADAPTER"]

COLUMNS = {
    "Administrative": pa.int64(),
    "Administrative_Duration": pa.float64(),
    "Informational": pa.int64(),
    "Informational_Duration": pa.float64(),
    "ProductRelated": pa.int64(),
    "ProductRelated_Duration": pa.float64(),
    "BounceRates": pa.float64(),
    "ExitRates": pa.float64(),
    "PageValues": pa.float64(),
    "SpecialDay": pa.float64(),
    "Month": pa.string(),
    "OperatingSystems": pa.int64(),
    "Browser": pa.int64(),
    "Region": pa.int64(),
    "TrafficType": pa.int64(),
    "VisitorType": pa.string(),
    "Weekend": pa.bool_(),
    "Revenue": pa.bool_(),
}


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the file that was named, `online_shoppers_intention.csv`.

    Raises:
        SettingsError: no file is named.
        SourceDataError: the file is missing or of another kind.
    """
    return named_file("online_shoppers", path)


ADAPTER = TabularAdapter(
    Description(
        name="online_shoppers",
        title="UCI Online Shoppers Purchasing Intention (a benchmark table, not events)",
        licence="CC BY 4.0 (Sakar et al. 2018)",
        page="https://archive.ics.uci.edu/dataset/468/online+shoppers+purchasing+intention+dataset",
        delay_hours=0.0,
        counts=Counts(lines=12_330, customers=0, items=0),
    ),
    locate,
    COLUMNS,
    label="Revenue",
)
