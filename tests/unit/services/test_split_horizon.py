"""Models that share the customers answer for the same horizon, and one request is answered by one choice of them."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from feature_repo.errors import BundleError
from intent_cli.promotion import Promotion
from services.batch_contracts import ScoreBatchRequest
from services.loaded_models import LoadedModels
from services.model_slots import Slots, write_slots
from services.request_handling import RequestHandling
from services.split_horizon import require_same_horizon
from tests.hostile_bundles import reseal
from tests.model_store import Store
from tests.tiny_shop import AT
from tests.waiting import until
from training.packaging.bundle import Bundle


@pytest.fixture
def longer(store: Store, tiny_bundle_folder: Path, tmp_path: Path) -> str:
    """The tag of a sound model that looks twice as far ahead as the others of the store."""
    bundle = Path(shutil.copytree(tiny_bundle_folder, tmp_path / "longer"))
    reseal(bundle, horizon_days=14)
    return store.put(bundle)


def test_a_share_for_another_horizon_is_refused_by_the_worker(store: Store, start: Callable, longer: str) -> None:
    models = start()
    write_slots(store.slots, Slots(challenger=longer, challenger_share=0.5))
    until(lambda: bool(models.refused))
    assert "for 14 days" in models.refused["models"]
    assert "for 7;" in models.refused["models"]
    assert models.answering.challenger is None
    write_slots(store.slots, Slots(champion=longer, challenger=store.own, challenger_share=0.5))
    until(lambda: "for 7 days" in models.refused["models"])
    assert models.answering.champion.tag == store.own


def test_a_shadow_may_look_further(store: Store, start: Callable, longer: str) -> None:
    write_slots(store.slots, Slots(challenger=longer, shadow=True))
    models = start()
    assert (models.refused, models.answering.challenger.tag) == ({}, longer)


def test_a_share_for_another_horizon_is_refused_before_it_is_written(store: Store, longer: str) -> None:
    promotion = Promotion(store.models, store.slots)
    with pytest.raises(BundleError, match="about customers for 14 days"):
        promotion.require_same_horizon(Slots(store.own, longer, 0.5))
    promotion.require_same_horizon(Slots(store.own, longer, 0.0, shadow=True))
    promotion.require_same_horizon(Slots(store.own, store.other, 0.5))
    promotion.require_same_horizon(Slots(None, longer, 0.5))  # the champion is the bento's: the workers compare


def test_models_of_items_are_compared_where_both_have_one(tiny_bundle_folder: Path) -> None:
    without = Bundle.load(tiny_bundle_folder)
    week, day = (replace(without, manifest={**without.manifest, "item": {"horizon_days": n}}) for n in (7, 1))
    require_same_horizon(week, week)
    require_same_horizon(week, without)
    require_same_horizon(without, day)
    with pytest.raises(BundleError, match="about items for 1 days"):
        require_same_horizon(week, day)


class Promoting(list[str]):
    """Customers of a request; between the first and the second of them another model becomes the champion."""

    def __init__(self, user_ids: list[str], promote: Callable[[], None]) -> None:
        super().__init__(user_ids)
        self._promote = promote

    def __iter__(self) -> Iterator[str]:
        for place, user_id in enumerate(super().__iter__()):
            if place == 1:
                self._promote()
            yield user_id


def test_a_batch_is_answered_by_the_models_that_it_met_first(store: Store, start: Callable) -> None:
    models: LoadedModels = start()
    handling = RequestHandling(models)
    before = models.answering

    def promote() -> None:
        models.answering = models._resolved(Slots(champion=store.other))

    user_ids = Promoting([f"{number:08d}" for number in range(1, 6)], promote)
    request = ScoreBatchRequest.model_construct(user_ids=user_ids, at=AT)
    answer = asyncio.run(handling.score_batch(request))
    handling.close()
    assert models.answering is not before
    assert {score["model"] for score in json.loads(answer.body)["scores"]} == {store.own}
