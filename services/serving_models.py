"""From a model's tag to what answers requests: checked, warmed up, with its store and the log of what it served.

Models of equal views share one connection to the store and one log, however often they are swapped.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feature_repo.errors import BundleError
from services.answer_parts import logs_inputs
from services.answer_sinks import AnswerSink, both
from services.batch_contracts import RankRequest
from services.checked_model import CheckedModel, checked_model
from services.contracts import ScoreRequest
from services.customer_scoring import CustomerScoring
from services.feature_lookup import read_views, views_of
from services.item_scoring import ItemScoring
from services.item_shadow import ItemShadow
from services.metered import MeteredLookup, metered, noted
from services.metrics import Metrics
from services.online_url import VARIABLE, read_online_url
from services.packed_lookup import PackedLookup, open_lookup
from services.served_lines import MODEL_INPUTS, model_inputs
from services.served_log import ServedLog, open_served_log
from services.shadow import Shadow, ShadowLog

__all__ = ["PUBLIC_KEYS_VARIABLE", "ServingModel", "ServingModels"]

PUBLIC_KEYS_VARIABLE = "INTENT_PUBLIC_KEYS"
_NOBODY = "nobody"


@dataclass(frozen=True)
class ServingModel:
    """A model that answers: what was checked, where its features are, what becomes of its answers."""

    checked: CheckedModel
    lookup: PackedLookup
    served_log: ServedLog | None
    scoring: CustomerScoring
    items: ItemScoring | None = None
    item_lookup: PackedLookup | None = None

    @property
    def tag(self) -> str:
        """The exact tag."""
        return self.checked.bundle.tag

    def rehearse(self) -> None:
        """Answer once about nobody, unlogged and uncounted: what a thread does first takes ten times as long."""
        now = datetime.now(UTC)
        plain = CustomerScoring(self.checked.bundle, self.checked.scorer, self.lookup)
        plain.answer(ScoreRequest(user_id=_NOBODY), now).model_dump_json()
        if self.checked.items is not None and self.item_lookup is not None:
            plain_items = ItemScoring(*self.checked.items, self.item_lookup)
            plain_items.rank_json(RankRequest(user_id=_NOBODY, item_ids=[_NOBODY]), now)


class ServingModels:
    """Makes serving models out of tags. Used from one thread at a time."""

    def __init__(
        self, models: Path, environment: Mapping[str, str], shadow_folder: Path | None, metrics: Metrics
    ) -> None:
        """Prepare.

        Args:
            models: BentoML's folder of our models.
            environment: `INTENT_ONLINE_URL`, `INTENT_PUBLIC_KEYS`, `INTENT_SERVED_LOG` … as the service has them.
            shadow_folder: where shadows log, or None: without a folder there are no slots, and so no shadow.
            metrics: where lookups and scores are noted.

        Raises:
            SettingsError: the public keys cannot be read.
        """
        self._models, self._environment, self._metrics = models, environment, metrics
        self._keys = _public_keys(environment)
        self._lookups: dict[str, PackedLookup] = {}
        self._logs: dict[str, ServedLog | None] = {}
        self._shadow_log = None if shadow_folder is None else ShadowLog(shadow_folder)
        self._shadows: list[Shadow] = []

    def load(self, tag: str) -> ServingModel:
        """Return the model `tag`, ready to answer.

        Raises:
            BundleError: it is refused: see `checked_model`; or the store's rows were written by another schema.
            DependencyDown: no online store is named.
            SettingsError: the served log cannot be written.
        """
        checked = checked_model(self._models, tag, self._keys)
        features = checked.bundle.json("features.json")
        lookup = self._lookup(features, "user_id")
        _require_same_schema(tag, lookup)
        also = {MODEL_INPUTS: model_inputs()} if logs_inputs(checked.scorer.making) else {}
        log = self._log(features, checked.scorer.making.service, also, "user_id")
        items, item_lookup = self._items(checked) or (None, None)
        return ServingModel(checked, lookup, log, self._scoring(checked, lookup, log, items), items, item_lookup)

    def shadowed(self, champion: ServingModel, challenger: ServingModel | None) -> ServingModel:
        """Return the champion with `challenger` in its shadow; None: with nobody."""
        ended, self._shadows = self._shadows, []
        sink: AnswerSink | None = champion.served_log
        items = champion.items
        if challenger is not None and self._shadow_log is not None:
            views = [view.name for view in challenger.lookup.views]
            shadow = Shadow(
                challenger.tag, challenger.checked.scorer, challenger.lookup, views, self._shadow_log, self._metrics
            )
            sink = both(champion.served_log, shadow)
            self._shadows.append(shadow)
            items = self._items_shadowed(items, challenger, self._shadow_log)
        for before in ended:
            threading.Thread(target=before.close, name="shadow-end", daemon=True).start()
        return replace(champion, scoring=self._scoring(champion.checked, champion.lookup, sink, items))

    def with_items_of(self, challenger: ServingModel, champion: ServingModel) -> ServingModel:
        """Return the challenger; if it has no model of items, what is asked about items the champion's answers."""
        if challenger.items is not None:
            return challenger
        checked, log = challenger.checked, challenger.served_log
        return replace(challenger, scoring=self._scoring(checked, challenger.lookup, log, champion.scoring.items))

    def close(self) -> None:
        """Write what waits to be logged, and close the stores."""
        for shadow in self._shadows:
            shadow.close()
        if self._shadow_log is not None:
            self._shadow_log.close()
        for log in self._logs.values():
            if log is not None:
                log.close()
        for lookup in self._lookups.values():
            lookup.close()

    def _scoring(
        self, checked: CheckedModel, lookup: PackedLookup, sink: AnswerSink | None, items: ItemScoring | None
    ) -> CustomerScoring:
        scorer, bundle = metered(checked.scorer, self._metrics), checked.bundle
        note = noted(bundle.tag, self._metrics)
        return CustomerScoring(bundle, scorer, MeteredLookup(lookup, self._metrics), sink, items, note)

    def _items(self, checked: CheckedModel) -> tuple[ItemScoring, PackedLookup] | None:
        """Return what answers about items, and its store; None if the bundle has no model of them."""
        if checked.items is None:
            return None
        part, scorer = checked.items
        features, keys = part.json("features.json"), ("user_id", "item_id")
        lookup = self._lookup(features, *keys)
        _require_same_schema(part.tag, lookup)
        log = self._log(features, scorer.making.service, {}, *keys)
        note = noted(f"{part.tag} items", self._metrics)
        asked = MeteredLookup(lookup, self._metrics)
        return ItemScoring(part, metered(scorer, self._metrics), asked, log, note), lookup

    def _items_shadowed(
        self, items: ItemScoring | None, challenger: ServingModel, log: ShadowLog
    ) -> ItemScoring | None:
        """Return what answers about items with the challenger's model of them, if it has one, in its shadow."""
        if items is None or challenger.checked.items is None or challenger.item_lookup is None:
            return items
        views = {view.name: view.join_keys for view in challenger.item_lookup.views}
        scorer = challenger.checked.items[1]
        shadow = ItemShadow(challenger.tag, scorer, challenger.item_lookup, views, log, self._metrics)
        self._shadows.append(shadow)
        return items.also_to(shadow)

    def _lookup(self, features: Mapping[str, Any], *keys: str) -> PackedLookup:
        views = views_of(read_views(features), *keys)
        name = json.dumps([view.as_dict() for view in views], sort_keys=True)
        if name not in self._lookups:
            self._lookups[name] = open_lookup(read_online_url(self._environment.get(VARIABLE)), views)
        return self._lookups[name]

    def _log(self, features: Mapping[str, Any], service: str, also: Mapping[str, Any], *keys: str) -> ServedLog | None:
        """Return the log of the views that these keys suffice for, and of what else is said of an answer."""
        views = views_of(read_views(features), *keys)
        logged = {view.name: features["views"][view.name] for view in views} | dict(also)
        name = json.dumps([service, logged], sort_keys=True)
        if name not in self._logs:
            self._logs[name] = open_served_log(self._environment, service, logged)
        return self._logs[name]


def _require_same_schema(tag: str, lookup: PackedLookup) -> None:
    strange = lookup.other_schema()
    if strange:
        raise BundleError(
            f"Model {tag} reads the views {strange} by another schema than the online store's rows were written by; "
            "expected the same. Materialise the store by the features that the model was trained on, or publish a "
            "model of the present ones."
        )


def _public_keys(environment: Mapping[str, str]) -> list[Any]:
    path = environment.get(PUBLIC_KEYS_VARIABLE)
    if not path:
        return []
    from training.packaging.signature import read_public_keys  # cryptography takes a while to import

    return list(read_public_keys(Path(path)))
