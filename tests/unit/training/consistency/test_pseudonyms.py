"""Who the pseudonyms of a log stand for, and the key that is needed to tell."""

from pathlib import Path

import pytest

from feature_repo.errors import SettingsError
from intent_cli.id_key import id_key, known_customers
from services.event_contracts import Outcome
from services.feedback_log import FeedbackLog
from services.hashed_ids import KEY_FILE_VARIABLE, KEY_VARIABLE, IdHasher
from services.served_log import FOLDER_VARIABLE, ServedLog
from tests.unit.services.test_served_log import VIEWS, batch
from training.consistency.pseudonyms import KnownCustomers
from training.consistency.served_log import LogFacts, ServedRows, read_served, served_parts

HASHER = IdHasher(b"a key of this test alone")


def logged(folder: Path, ids: IdHasher | None) -> ServedRows:
    log = ServedLog(folder, "shop", VIEWS, ids=ids)
    log.offer(batch("old", "new"))
    log.close()
    (rows,) = read_served(served_parts(folder)[0], LogFacts())
    return rows


def test_customers_are_found_again_and_strangers_stay_strangers(tmp_path: Path) -> None:
    rows = logged(tmp_path, HASHER)
    known = KnownCustomers(HASHER.pseudonym, lambda: ["another", "old"])
    assert known.revealed(rows)["user_id"].to_pylist() == ["old", HASHER.pseudonym("new")]
    assert known.revealed(rows)["event_timestamp"] == rows.asked["event_timestamp"]


@pytest.mark.parametrize("known", [KnownCustomers(), KnownCustomers(IdHasher(b"another key, just as long").pseudonym)])
def test_without_the_key_nothing_is_compared(known: KnownCustomers, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected the one that the service had"):
        known.revealed(logged(tmp_path, HASHER))


def test_a_log_without_pseudonyms_needs_no_key(tmp_path: Path) -> None:
    assert KnownCustomers().revealed(logged(tmp_path, None))["user_id"].to_pylist() == ["old", "new"]


def test_feedback_stands_under_the_same_pseudonyms(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path, HASHER)
    log.append(
        [Outcome(request_id="0" * 32, user_id="01104905", bought=True), Outcome(request_id="1" * 32, bought=True)]
    )
    log.close()
    text = next(tmp_path.iterdir()).read_text()
    assert HASHER.pseudonym("01104905") in text
    assert "01104905" not in text
    assert '"user_id":null' in text


def test_a_run_has_a_key_of_its_own_where_none_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY_VARIABLE, KEY_FILE_VARIABLE, FOLDER_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    assert id_key(tmp_path) is None  # nothing is logged
    monkeypatch.setenv(FOLDER_VARIABLE, "/served")
    made = id_key(tmp_path)
    assert made is not None
    assert made.stat().st_mode & 0o777 == 0o600
    assert id_key(tmp_path) == made
    hasher = IdHasher(made.read_bytes().strip())
    assert known_customers(tmp_path)._pseudonym("a") == hasher.pseudonym("a")  # type: ignore[misc]
    monkeypatch.setenv(KEY_VARIABLE, "a key that is configured")
    assert id_key(tmp_path) is None
    assert known_customers(tmp_path)._pseudonym("a") != hasher.pseudonym("a")  # type: ignore[misc]
