"""Feast's SQLite online store with the tiny shop in it, written by Feast itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.tiny_shop import FEATURES, shop

PROJECT = "tiny"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_online_store(path: Path, customers: int = 12) -> str:
    """Write customers 00000001 … to `path`, and return the address of the store."""
    from feast import Entity, FeatureView, ValueType
    from feast.infra.online_stores.sqlite import SqliteOnlineStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value
    from feast.repo_config import RepoConfig

    config = RepoConfig(
        project=PROJECT,
        provider="local",
        registry="not-written.db",
        online_store={"type": "sqlite", "path": str(path)},
        entity_key_serialization_version=3,
    )
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    views = {name: FeatureView(name=name, entities=[user], source=None) for name in shop(0)}
    store = SqliteOnlineStore()
    store.update(config, [], list(views.values()), [], [user], False)
    for name, rows in shop(customers).items():
        fields = FEATURES["views"][name]["fields"]
        data = [
            (
                EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)]),
                {field: _value(fields[field], value) for field, value in values.items()},
                _EPOCH + timedelta(microseconds=event_us),
                None,
            )
            for user_id, (event_us, values) in rows.items()
        ]
        store.online_write_batch(config, views[name], data, None)
    store._conn.close()
    return f"sqlite:///{path}?project={PROJECT}"


def _value(kind: str, value):
    from feast.protos.feast.types.Value_pb2 import DoubleList, Int64List, Value

    if value is None:
        return Value()
    match kind:
        case "String":
            return Value(string_val=value)
        case "Float64":
            return Value(double_val=value)
        case "Int64":
            return Value(int64_val=value)
        case "Array(Int64)":
            return Value(int64_list_val=Int64List(val=value))
        case _:
            return Value(double_list_val=DoubleList(val=value))
