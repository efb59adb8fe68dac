"""What `intent serve` tells the service: where answers are logged, and under which key customers stand there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from intent_cli import bento_server, online_address
from intent_cli.bento_server import Bento
from intent_cli.commands.serve import serve
from intent_cli.id_key import id_key
from services.hashed_ids import KEY_FILE_VARIABLE, KEY_VARIABLE
from services.online_url import SqliteUrl
from services.served_log import FOLDER_VARIABLE


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of the server that a `serve` in the test starts, once it has."""
    environment: dict[str, str] = {}

    def published(out: Path, online: SqliteUrl, *, logs: bool = False) -> Bento:
        return Bento("purchase_intent:1", tmp_path, online, id_key=id_key(out, logs=logs))

    @contextmanager
    def running(
        bento: Bento, _port: int, workers: int, _log: Path, _host: str, more: Mapping[str, str]
    ) -> Iterator[Any]:
        environment.update(bento.environment(workers, more))
        yield Mock(address="http://127.0.0.1:3000")

    monkeypatch.setattr(online_address, "serving_address", lambda _: SqliteUrl(tmp_path / "online.db", "shop"))
    monkeypatch.setattr(bento_server, "published_bento", published)
    monkeypatch.setattr(bento_server, "running", running)
    for name in (FOLDER_VARIABLE, KEY_VARIABLE, KEY_FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return environment


def test_answers_are_logged_below_the_run_under_a_key_of_its_own(told: dict[str, str], tmp_path: Path) -> None:
    serve(out=tmp_path)
    assert told[FOLDER_VARIABLE] == str(tmp_path / "answers")
    key = Path(told[KEY_FILE_VARIABLE])
    assert key.is_relative_to(tmp_path)
    assert key.stat().st_mode & 0o077 == 0


def test_another_folder_and_none_may_be_named(
    told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "elsewhere"))
    serve(out=tmp_path)
    assert told[FOLDER_VARIABLE] == str(tmp_path / "elsewhere")
    monkeypatch.setenv(FOLDER_VARIABLE, "from/here")
    serve(out=tmp_path)
    assert told[FOLDER_VARIABLE] == str(Path.cwd() / "from" / "here")
    told.clear()
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    serve(out=tmp_path / "other")
    assert told[FOLDER_VARIABLE] == ""
    assert KEY_FILE_VARIABLE not in told
