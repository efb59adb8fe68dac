"""A Feast online store in Redis 7: for production, where several services read and write.

    online_store:
        type: intent_stores.online_packed_redis.PackedRedisOnlineStore
        url: ${REDIS_URL}

Feast requires the store and its configuration in one module. What only reads needs `intent_stores.packed_redis` alone.
"""

from typing import Literal

from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import PositiveFloat, StrictStr

from intent_stores.packed_online_store import PackedOnlineStore
from intent_stores.packed_redis import PackedRedisServer


class PackedRedisOnlineStoreConfig(FeastConfigBaseModel):
    """Settings under `online_store:` in `feature_store.yaml`; all but `type` may be left out."""

    type: Literal["intent_stores.online_packed_redis.PackedRedisOnlineStore"] = (
        "intent_stores.online_packed_redis.PackedRedisOnlineStore"
    )

    url: StrictStr = "redis://127.0.0.1:6379/0"
    """`redis://[[user]:password@]host:port/db`, `rediss://` for TLS, `unix://`; redis-py's query arguments hold."""

    read_budget_ms: PositiveFloat = 25.0
    """The longest that a read may take in all, with no retries; beyond it every row is missing, with the reason."""

    write_timeout_seconds: PositiveFloat = 5.0
    """The longest that a writer waits for one reply."""


class PackedRedisOnlineStore(PackedOnlineStore):
    """Packed rows in Redis. Any number of processes may read and write; several projects may share a database."""

    def _make_store(self, config: RepoConfig) -> PackedRedisServer:
        settings = config.online_store
        return PackedRedisServer(
            settings.url, config.project, settings.read_budget_ms / 1000, settings.write_timeout_seconds
        )
