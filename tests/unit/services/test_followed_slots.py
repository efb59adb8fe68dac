"""What a worker makes of slots that change at an awkward moment."""

from collections.abc import Callable

import pytest

from intent_cli.live_workers import live_reports
from services.model_slots import Slots, write_slots
from services.serving_models import ServingModel, ServingModels
from tests.model_store import Store
from tests.waiting import until


def test_slots_that_are_written_while_a_worker_loads_are_followed(
    store: Store, start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ServingModels.load

    def and_meanwhile_promote(self: ServingModels, tag: str) -> ServingModel:
        if tag == store.own:
            write_slots(store.slots, Slots(champion=store.other))
        return load(self, tag)

    monkeypatch.setattr(ServingModels, "load", and_meanwhile_promote)
    models = start()
    until(lambda: models.answering.champion.tag == store.other, 5)


def test_a_worker_is_reported_while_it_loads(store: Store, start: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    load, seen = ServingModels.load, []

    def and_look(self: ServingModels, tag: str) -> ServingModel:
        seen.extend((one.generation, one.champion) for one in live_reports(store.slots))
        return load(self, tag)

    monkeypatch.setattr(ServingModels, "load", and_look)
    start()
    assert seen == [("", None)]  # a promotion at this moment waits for it
    assert [one.champion for one in live_reports(store.slots)] == [store.own]


def test_a_relative_folder_of_slots_is_refused(store: Store, start: Callable) -> None:
    store.environment["INTENT_SLOTS"] = "shop/slots"
    trouble = start().trouble() or ""
    assert "INTENT_SLOTS is 'shop/slots'" in trouble
    assert "absolute" in trouble
