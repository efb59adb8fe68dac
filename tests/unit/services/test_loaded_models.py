"""What a worker loads at its start and afterwards, in this process: the slots, the keys, the store's schema."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from intent_cli.live_workers import live_reports
from services.checked_model import CheckedModel
from services.contracts import ScoreRequest
from services.loaded_models import LoadedModels
from services.model_description import described
from services.model_slots import Slots, write_slots
from services.serving_models import ServingModels
from tests.model_store import Store
from tests.online_store import PROJECT, VIEWS, write_rows
from tests.tiny_shop import shop
from tests.waiting import until


def test_without_slots_the_bento_s_own_model_answers(store: Store, start: Callable) -> None:
    models = start()
    assert (models.trouble(), models.degraded()) == (None, [])
    assert described(models)["model"] == store.own
    assert [report.champion for report in live_reports(store.slots)] == [store.own]
    models.close()
    assert live_reports(store.slots) == []


def test_a_rehearsal_is_neither_counted_nor_logged(store: Store, start: Callable, tmp_path: Path) -> None:
    store.environment |= {"INTENT_SERVED_LOG": str(tmp_path / "served"), "INTENT_ID_KEY": "a key of this test alone"}
    store.environment |= {"INTENT_SERVED_SAMPLE": "1"}
    models = start()
    before = models.metrics.exposition()
    models.rehearse()
    assert models.metrics.exposition() == before
    assert list((tmp_path / "served").iterdir()) == []
    scoring = models.scoring_for("u")
    assert scoring is not None
    scoring.answer(ScoreRequest(user_id="u"), datetime.now(UTC))
    models.close()
    assert models.metrics.exposition() != before
    assert len(list((tmp_path / "served").iterdir())) == 1


def test_a_rehearsal_that_fails_stops_nothing(store: Store, start: Callable) -> None:
    models = start()
    champion = Mock(**{"rehearse.side_effect": ZeroDivisionError})
    models.answering = replace(models.answering, champion=champion)
    models.rehearse()
    champion.rehearse.assert_called_once_with()


def test_where_nothing_answers_nothing_is_rehearsed(store: Store) -> None:
    LoadedModels(store.environment).rehearse()


def test_slots_are_followed_at_the_start_and_whenever_they_change(store: Store, start: Callable) -> None:
    write_slots(store.slots, Slots(champion=store.other))
    models = start()
    assert described(models)["slots"]["champion"] == store.other
    write_slots(store.slots, Slots())
    until(lambda: described(models)["slots"]["champion"] == store.own)


def test_slots_that_cannot_be_followed_leave_the_own_model(store: Store, start: Callable) -> None:
    (store.models / store.other.split(":")[1] / "bundle" / "ensemble.json").write_text("{}")
    write_slots(store.slots, Slots(champion=store.other))
    models = start()
    assert described(models)["model"] == store.own
    assert "was altered" in models.degraded()[0]
    (store.slots / "slots.json").write_text("{")
    until(lambda: "intent promote" in (models.degraded() or [""])[0])
    assert described(models)["model"] == store.own


def test_every_store_that_a_model_reads_is_asked_and_told_once(store: Store, start: Callable) -> None:
    models = start()
    now = models.answering
    items, shadowed, others = (Mock(**{"trouble.return_value": says}) for says in ("no items", "views", "no items"))
    models.answering = replace(
        now,
        champion=replace(now.champion, item_lookup=items),
        challenger=replace(now.champion, lookup=shadowed, item_lookup=others),
    )
    assert models.degraded() == ["no items", "views"]


@pytest.mark.parametrize("place", ["champion", "champion's items", "challenger", "challenger's items"])
def test_the_circuit_of_every_store_of_a_slot_is_shown(store: Store, start: Callable, place: str) -> None:
    models = start()
    now, shown = models.answering, Mock()
    names = ("champion", "champion's items", "challenger", "challenger's items")
    stores = [Mock(circuit_open=name == place) for name in names]
    models.answering = replace(
        now,
        champion=replace(now.champion, lookup=stores[0], item_lookup=stores[1]),
        challenger=replace(now.champion, lookup=stores[2], item_lookup=stores[3]),
    )
    models.metrics = Mock(circuit=shown)
    models._say()
    shown.assert_called_with(True)


def test_a_challenger_without_a_model_of_items_leaves_them_to_the_champion(
    store: Store, start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, lookup = Mock(), Mock(**{"trouble.return_value": None})

    def of_the_own_one(_: ServingModels, checked: CheckedModel) -> tuple[Mock, Mock] | None:
        return (items, lookup) if checked.bundle.tag == store.own else None

    monkeypatch.setattr(ServingModels, "_items", of_the_own_one)
    write_slots(store.slots, Slots(challenger=store.other, challenger_share=1.0))
    models = start()
    scoring = models.scoring_for("u")
    assert (scoring.items, models.refused) == (items, {})
    assert scoring.answer(ScoreRequest(user_id="u"), datetime.now(UTC)).model == store.other
    challenger = models.answering.challenger
    without = replace(models.answering.champion, scoring=Mock(items=None))
    assert models._serving.with_items_of(challenger, without).scoring.items is None  # nor those of a champion before
    write_slots(store.slots, Slots(champion=store.other))
    until(lambda: models.answering.champion.tag == store.other)
    assert models.scoring_for("u").items is None


def test_a_refused_challenger_changes_nothing_of_the_slots(store: Store, start: Callable) -> None:
    models = start()
    write_slots(store.slots, Slots(store.other, "purchase_intent:0123456789abcdef", 0.5))
    until(lambda: bool(models.refused))
    told = described(models)["slots"]
    assert (told["champion"], told["challenger"]) == (store.own, None)
    assert models.scoring_for("anybody") is models.answering.champion.scoring


def test_where_keys_are_configured_an_unsigned_model_does_not_serve(
    store: Store, start: Callable, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    store.environment["INTENT_PUBLIC_KEYS"] = str(tmp_path / "public.pem")
    assert "is not signed" in (start().trouble() or "")
    bundle = store.models / store.own.split(":")[1] / "bundle"
    (bundle / "manifest.sig").write_bytes(key.sign((bundle / "manifest.json").read_bytes()))
    models = start()
    assert models.trouble() is None
    write_slots(store.slots, Slots(champion=store.other))  # this one is not signed
    until(lambda: bool(models.refused))
    assert "is not signed" in models.degraded()[0]
    assert described(models)["model"] == store.own
    assert described(models)["signed"] is True


def test_keys_that_cannot_be_read_are_no_keys_to_trust(store: Store, start: Callable, tmp_path: Path) -> None:
    store.environment["INTENT_PUBLIC_KEYS"] = str(tmp_path / "nothing.pem")
    assert "cannot be read" in (start().trouble() or "")


def test_a_store_of_another_schema_is_no_store_of_this_model(store: Store, start: Callable) -> None:
    from intent_stores.packed_sqlite import PackedSqliteFile
    from intent_stores.packed_view import PackedView

    file = PackedSqliteFile(store.online, PROJECT)
    view = next(view for view in VIEWS if view.name == "user_profile")
    file.drop(view.name)
    file.create(view.name)
    changed = PackedView(view.name, {**view.fields, "shoe_size": "Float64"}, view.join_keys, view.ttl_us)
    write_rows(file, changed, shop()[view.name])
    trouble = start().trouble() or ""
    assert "another schema" in trouble
    assert "['user_profile']" in trouble


def test_models_of_equal_views_share_the_store_and_its_connections(store: Store, start: Callable) -> None:
    models = start()
    first = models.answering.champion.lookup
    write_slots(store.slots, Slots(champion=store.other))
    until(lambda: described(models)["model"] == store.other)
    assert models.answering.champion.lookup is first


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_serve(
    store: Store, start: Callable, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    store.environment["INTENT_SLOTS"] = str(tmp_path / "file" / "slots")
    assert start().trouble() is None
    store.environment["INTENT_SLOTS"] = ""
    assert start().trouble() is None
