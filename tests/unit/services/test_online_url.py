from pathlib import Path

import pytest

from feature_repo.errors import DependencyDown
from services.online_url import RedisUrl, SqliteUrl, read_online_url


def test_the_address_is_read_and_written() -> None:
    url = read_online_url("sqlite:////srv/a%20shop/online.db?project=purchase_intent")
    assert url == SqliteUrl(Path("/srv/a shop/online.db"), "purchase_intent")
    assert str(url) == url.setting
    assert read_online_url(url.setting) == url


def test_an_address_of_redis_keeps_its_arguments_and_shows_no_password() -> None:
    url = read_online_url("rediss://shop:secret@db.example:6380/2?ssl_ca_certs=%2Fetc%2Fca.pem&project=a%20shop")
    assert isinstance(url, RedisUrl)
    assert url.address == "rediss://shop:secret@db.example:6380/2?ssl_ca_certs=%2Fetc%2Fca.pem"
    assert url.project == "a shop"
    assert str(url) == "rediss://db.example:6380/2?project=a%20shop"
    assert "secret" not in f"{url} {url!r}"
    assert read_online_url(url.setting) == url


@pytest.mark.parametrize("text", [None, ""])
def test_an_unset_address_is_told(text: str | None) -> None:
    with pytest.raises(DependencyDown, match="INTENT_ONLINE_URL is not set"):
        read_online_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///relative.db?project=p",
        "sqlite:////srv/online.db",
        "sqlite:////srv/online.db?project=",
        "sqlite://host/srv/online.db?project=p",
        "redis://:secret@host/0",
        "redis://:secret@host:port/0?project=p",
        "redis://:secret@/0?project=p",
        "redis://:secret@[host/0?project=p",
        "rediss://:secret@host/0?project=p&project=q",
        "postgresql://me:secret@host/shop?project=p",
        "/srv/online.db",
    ],
)
def test_another_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(DependencyDown, match="cannot be used") as caught:
        read_online_url(text)
    assert "secret" not in str(caught.value)
