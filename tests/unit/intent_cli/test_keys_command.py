"""`intent keys`: what is printed once, what is kept, and what is taken away again."""

import json
import stat
from pathlib import Path

import pytest

from feature_repo.errors import SettingsError
from intent_cli.bento_server import Bento, running
from intent_cli.main import run
from services.access_keys import KeyRing, read_keys
from services.configured_keys import FILE_VARIABLE, KEYS_VARIABLE
from services.event_intake import OUTBOX_VARIABLE
from services.online_url import SqliteUrl


def made(file: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["keys", "create", *arguments, "--file", str(file)]) == 0
    return capsys.readouterr().out.strip()


def test_a_key_is_made_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "keys.json"
    first = made(file, capsys, "--scope", "events", "--scope", "score", "--expires", "90d")
    second = made(file, capsys, "--scope", "admin", "--rate", "5")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first not in file.read_text()
    ring = KeyRing(read_keys(file.read_bytes(), "here").keys)
    found = ring.find(f"Bearer {first}".encode())
    assert found is not None
    assert found.scopes == {"score", "events"}
    assert run(["keys", "list", "--file", str(file), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["keys"]
    assert [(row["id"], row["requests_per_second"]) for row in listed] == [
        (found.id, 500.0),
        (second.split("_")[1], 5.0),
    ]
    assert "sha256" not in listed[0]
    assert run(["keys", "revoke", found.id, "--file", str(file)]) == 0
    assert KeyRing(read_keys(file.read_bytes(), "here").keys).find(f"Bearer {first}".encode()) is None
    assert run(["keys", "revoke", found.id, "--file", str(file)]) == 1
    assert run(["keys", "list", "--file", str(file)]) == 0
    assert second.split("_")[1] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--scope", "root"], "expected score, events, admin"),
        (["--scope", "score", "--expires", "tomorrow"], "no moment"),
        (["--scope", "score", "--expires", "2001-02-19"], "past"),
        (["--scope", "score", "--expires", "99999999d"], "no moment"),
        ([], "--scope"),
    ],
)
def test_what_cannot_be_made_is_explained(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "create", *arguments, "--file", str(tmp_path / "keys.json")]) == 1
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "keys.json").exists()


def test_a_file_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.json"
    file.write_text("my notes")
    assert run(["keys", "create", "--scope", "score", "--file", str(file)]) == 1
    assert file.read_text() == "my notes"
    assert "not JSON" in capsys.readouterr().err


@pytest.mark.parametrize("variables", [None, {OUTBOX_VARIABLE: "sqlite:///outbox.db"}, {FILE_VARIABLE: ""}])
def test_no_address_that_others_reach_without_keys(variables: dict[str, str] | None, tmp_path: Path) -> None:
    bento = Bento("none:none", tmp_path, SqliteUrl(tmp_path / "online.db", "none"))
    with (
        pytest.raises(SettingsError, match="without keys"),
        running(bento, 3000, host="0.0.0.0", keys=variables),  # noqa: S104
    ):
        pass


def test_a_server_gets_the_keys_that_it_is_given_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE_VARIABLE, "/elsewhere")
    monkeypatch.setenv(KEYS_VARIABLE, "{}")
    bento = Bento("none:none", tmp_path, SqliteUrl(tmp_path / "online.db", "none"))
    plain = bento.environment(1)
    assert (plain[FILE_VARIABLE], plain[KEYS_VARIABLE]) == ("", "")
    assert bento.environment(1, {FILE_VARIABLE: "/keys.json"})[FILE_VARIABLE] == "/keys.json"
    assert bento.command(3000, "::1")[5:7] == ["--host", "::1"]
