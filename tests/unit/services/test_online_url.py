from pathlib import Path

import pytest

from feature_repo.errors import DependencyDown
from services.online_url import OnlineUrl, read_online_url


def test_the_address_is_read_and_written() -> None:
    url = read_online_url("sqlite:////srv/a%20shop/online.db?project=purchase_intent")
    assert url == OnlineUrl(Path("/srv/a shop/online.db"), "purchase_intent")
    assert read_online_url(str(url)) == url


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
        "redis://:secret@host/0?project=p",
        "/srv/online.db",
    ],
)
def test_another_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(DependencyDown, match="cannot be used") as caught:
        read_online_url(text)
    assert "secret" not in str(caught.value)
