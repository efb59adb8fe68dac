"""What was served as lines of JSON, exact to the bit: the format of the served log.

The first line of a part says what the others hold:

    {"format": 1, "schema": "<16 hex digits>", "service": "<name>", "views": {view: {"join_keys": […], "fields": {…}}},
     "pseudonyms": {"user_id": "<the pseudonym of nobody>"}}

Every other line is one answer, or how many answers were left out since the last such line:

    {"request": "…", "of": 1, "t": 983404800000000, "keys": {"user_id": "…"}, "model": "…", "answered": true,
     "probability": 0.17, "views": {view: {"status": "fresh", "age_seconds": 86400.0, "values": {field: value}}}}
    {"dropped": 3}

`of` is how many answers the request had: customers of a batch, or items of a ranking, which `keys` then names too.
A user id is a pseudonym, as `services.hashed_ids` makes it, where the first line says so.
`t` is int64 microseconds since 1970. A float is written so that reading it gives the same bits. null is what the model
was not shown; NaN is written as null, in a list too. `answered` is false where the online store was away. A view named
after a transform (`customer_features`) holds what the model was given.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from feature_repo.transforms.customer import CustomerFeatures, customer_features
from services.hashed_ids import IdHasher

__all__ = [
    "FORMAT",
    "MODEL_INPUTS",
    "ServedBatch",
    "answer_line",
    "dropped_line",
    "header_line",
    "model_input_columns",
    "model_inputs",
]

FORMAT = 1
MODEL_INPUTS = "customer_features"
_USER = "user_id"


@dataclass(frozen=True)
class ServedBatch:
    """The answers to one request: n rows that share their moment.

    `keys` maps a join key to n values. `columns` maps a view to its fields, each an array of shape (n,) or a `Ragged`
    of n lists, as the model could see them. `status` and `age_seconds` map a view to n values; `probability` has n, or
    is None. What has one value (the customer of a ranking, and all that is known of that customer) holds for all rows.
    `of` is how many answers the request had, where other models gave some of them; None: these are all.
    The arrays must not be changed afterwards: they are written later.
    """

    request_id: str
    at_us: int
    keys: Mapping[str, Sequence[str]]
    model: str
    columns: Mapping[str, Mapping[str, Any]]
    status: Mapping[str, Any] = field(default_factory=dict)
    age_seconds: Mapping[str, Any] = field(default_factory=dict)
    probability: Any = None
    answered: bool = True
    of: int | None = None
    texts: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The text of each view that holds for all rows, once it was needed: a ranking's are its customer's lists."""

    @property
    def count(self) -> int:
        """How many rows there are."""
        return max(map(len, self.keys.values()), default=0)

    def key(self, row: int) -> dict[str, str]:
        """Return the join keys of a row."""
        return {name: _at(values, row) for name, values in self.keys.items()}


def header_line(service: str, views: Mapping[str, Mapping[str, Any]], ids: IdHasher | None = None) -> bytes:
    """Return a part's first line: the feature service, each view's join keys and fields (name → type), and the key."""
    plain = {name: {"join_keys": list(v["join_keys"]), "fields": dict(v["fields"])} for name, v in views.items()}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
    hidden = {} if ids is None else {"pseudonyms": {_USER: ids.check}}
    return _line({"format": FORMAT, "schema": digest, "service": service, "views": plain, **hidden})


def answer_line(
    batch: ServedBatch, row: int, views: Mapping[str, Mapping[str, Any]], ids: IdHasher | None = None
) -> bytes:
    """Return the line of one row of a batch; with `ids` the customer stands in it under a pseudonym."""
    head = _text(
        {
            "request": batch.request_id,
            "of": batch.of or batch.count,
            "t": int(batch.at_us),
            "keys": {name: _key(name, value, ids) for name, value in batch.key(row).items()},
            "model": batch.model,
            "answered": batch.answered,
            "probability": None if batch.probability is None else float(batch.probability[row]),
        }
    )
    told = ",".join([f"{_text(name)}:{_view_text(batch, name, row, views[name]['fields'])}" for name in batch.columns])
    return f'{head[:-1]},"views":{{{told}}}}}\n'.encode()


def dropped_line(count: int) -> bytes:
    """Return the line that says how many rows were left out since the last such line."""
    return _line({"dropped": count})


def model_inputs() -> dict[str, Any]:
    """Return the view of what a model is given: the outputs of `customer_features` with their types."""
    nobody = customer_features({}, np.empty(0, np.int64))
    return {
        "join_keys": ["user_id"],
        "fields": dict.fromkeys(nobody.numeric, "Float64")
        | dict.fromkeys(nobody.categorical, "String")
        | dict.fromkeys(nobody.sequences, "Array(Float64)"),
    }


def model_input_columns(features: CustomerFeatures) -> dict[str, Any]:
    """Return the outputs of `customer_features` by name, as `ServedBatch.columns` takes them."""
    return {**features.numeric, **features.categorical, **features.sequences}


def _key(name: str, value: str, ids: IdHasher | None) -> str:
    return value if ids is None or name != _USER else ids.pseudonym(value)


def _view_text(batch: ServedBatch, name: str, row: int, fields: Mapping[str, str]) -> str:
    if batch.count == 1 or any(len(column) > 1 for column in batch.columns[name].values()):
        return _text(_view(batch, name, row, fields))
    if name not in batch.texts:
        batch.texts[name] = _text(_view(batch, name, 0, fields))
    return batch.texts[name]


def _view(batch: ServedBatch, name: str, row: int, fields: Mapping[str, str]) -> dict[str, Any]:
    columns = batch.columns[name]
    found: dict[str, Any] = {}
    if name in batch.status:
        found["status"] = str(_at(batch.status[name], row))
    if name in batch.age_seconds:
        found["age_seconds"] = _cell("Float64", _at(batch.age_seconds[name], row))
    found["values"] = {field: _value(kind, columns[field], row) for field, kind in fields.items()}
    return found


def _place(values: Any, row: int) -> int:
    return row if len(values) > 1 else 0


def _at(values: Any, row: int) -> Any:
    return values[_place(values, row)]


def _value(kind: str, column: Any, row: int) -> Any:
    if not kind.startswith("Array("):
        return _cell(kind, _at(column, row))
    place = _place(column, row)
    cells = column.values[column.offsets[place] : column.offsets[place + 1]]
    plain = cells.tolist()
    if cells.dtype.kind == "f":
        return [None if cell != cell else cell for cell in plain]
    return plain


def _cell(kind: str, cell: Any) -> Any:
    plain = cell.item() if isinstance(cell, np.generic) else cell
    if plain is None or plain != plain:  # only NaN differs from itself
        return None
    # A column of whole numbers is float64 where some of them are not known.
    return int(plain) if kind in ("Int64", "Int32") else plain


def _line(record: Mapping[str, Any]) -> bytes:
    return _text(record).encode() + b"\n"


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
