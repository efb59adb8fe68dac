"""The production profile for a test: the running Redis and PostgreSQL, a project and a schema of the test's own."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

PROFILE = Path(__file__).resolve().parents[1] / "feature_repo" / "profiles" / "production.yaml"


@contextmanager
def production_environment(folder: Path) -> Iterator[dict[str, str]]:
    """Give the variables that put a run on the servers; what it left there is removed afterwards.

    Arguments:
        folder: where a copy of the profile is written, with a project of its own.

    Skips where `INTENT_TEST_REDIS_URL` or `INTENT_TEST_POSTGRES_URL` names no server.
    """
    redis_url = os.environ.get("INTENT_TEST_REDIS_URL") or pytest.skip("INTENT_TEST_REDIS_URL names no Redis")
    postgres = os.environ.get("INTENT_TEST_POSTGRES_URL") or pytest.skip("INTENT_TEST_POSTGRES_URL names no PostgreSQL")
    psycopg, redis = pytest.importorskip("psycopg"), pytest.importorskip("redis")
    name = f"t{uuid.uuid4().hex[:12]}"
    text = PROFILE.read_text(encoding="utf-8")
    (folder / "production.yaml").write_text(text.replace("project: purchase_intent", f"project: {name}"))
    in_schema = f"{'&' if '?' in postgres else '?'}options={quote(f'-csearch_path={name}')}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        try:
            yield {
                "INTENT_PROFILE": str(folder / "production.yaml"),
                "INTENT_REDIS_URL": redis_url,
                "INTENT_REGISTRY_URL": postgres.replace("postgresql://", "postgresql+psycopg://", 1) + in_schema,
                "INTENT_OUTBOX_URL": postgres + in_schema,
            }
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")
            with redis.Redis.from_url(redis_url) as client:
                for key in list(client.scan_iter(match=f"intent:{name}*", count=5000)):
                    client.unlink(key)
