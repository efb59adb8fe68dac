"""What some customers write about what they bought: stars and a sentence that tell the item's quality."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.events import TIMESTAMP
from training.simulator.catalogue import Catalogue
from training.simulator.customers import Customers
from training.simulator.event_rows import Rows
from training.simulator.parameters import TYPES, Parameters

__all__ = ["REVIEW_SCHEMA", "reviews_of"]

REVIEW_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string()),
        pa.field("item_id", pa.string()),
        pa.field("event_timestamp", TIMESTAMP),
        pa.field("stars", pa.int8()),
        pa.field("text", pa.string()),
    ]
)
_TEXTS = np.array(
    [
        "Broke after a week. Not again.",
        "Less than I expected for the price.",
        "It does what it should.",
        "Good value, I would buy it again.",
        "Excellent, exactly what I was looking for.",
    ],
    object,
)


def reviews_of(
    parameters: Parameters,
    customers: Customers,
    catalogue: Catalogue,
    rows: Rows,
    begin_us: int,
    end_us: int,
    random: np.random.Generator,
) -> pa.Table:
    """Return the reviews that are written before `end_us`, in order of time."""
    share, latest = parameters.reviews
    bought = np.flatnonzero(rows.kind == TYPES.index("purchase"))
    written = bought[random.random(len(bought)) < share]
    after = random.integers(86_400, int(86_400 * latest), len(written))
    at = begin_us + (rows.second[written] + after) * 1_000_000
    stars = np.clip(catalogue.quality[rows.item[written]] + random.integers(-1, 2, len(written)), 0, 4)
    order = np.argsort(at, kind="stable")
    order = order[at[order] < end_us]
    names: NDArray[np.object_] = np.array(customers.names, object)
    ids = np.array(catalogue.ids, object)
    columns = [
        pa.array(names[rows.customer[written][order]], pa.string()),
        pa.array(ids[rows.item[written][order]], pa.string()),
        pa.array(at[order]).cast(TIMESTAMP),
        pa.array((stars[order] + 1).astype(np.int8)),
        pa.array(_TEXTS[stars[order]], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=REVIEW_SCHEMA)
