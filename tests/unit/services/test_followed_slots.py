"""What a worker makes of slots that change at an awkward moment."""

from collections.abc import Callable

import pytest

from services.model_slots import Slots, write_slots
from services.serving_models import ServingModel, ServingModels
from tests.model_store import Store, until


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
