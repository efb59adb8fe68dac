"""The servers of the fault tests can be frozen, thawed, killed and started again, and keep what they stored."""

import socket
import subprocess

import pytest

from tests.servers import PrivatePostgres, PrivateRedis, PrivateServer

pytestmark = pytest.mark.faults


def connects(server: PrivateServer) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), 1).close()
    except OSError:
        return False
    return True


def test_redis(private_redis: PrivateRedis) -> None:
    import redis

    with redis.Redis.from_url(private_redis.url, socket_timeout=0.2) as client:
        private_redis.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        private_redis.thaw()
        assert client.ping()
    private_redis.kill()
    assert not connects(private_redis)
    private_redis.start()


def psql(server: PrivatePostgres, statement: str) -> str:
    command = ["psql", server.url, "-X", "-A", "-t", "-c", statement]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_postgres(private_postgres: PrivatePostgres) -> None:
    psql(private_postgres, "CREATE TABLE held AS SELECT 7 AS number")
    private_postgres.kill()
    assert not connects(private_postgres)
    private_postgres.start()
    assert psql(private_postgres, "SELECT number FROM held").strip() == "7"
    private_postgres.stop()
    assert not connects(private_postgres)
