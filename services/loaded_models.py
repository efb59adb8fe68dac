"""What answers: the published bundle, verified and warmed up, with its store and its log."""

import os
from pathlib import Path

import bentoml

from feature_repo.errors import BundleError, IntentError
from services.customer_scoring import CustomerScoring
from services.feature_lookup import read_views, views_of
from services.golden_check import check_golden
from services.online_url import VARIABLE, read_online_url
from services.packed_lookup import open_lookup
from services.scoring import Scorer
from services.served_lines import MODEL_INPUTS, model_inputs
from services.served_log import open_served_log
from training.packaging.bundle import Bundle

__all__ = ["MODEL_ALIAS", "LoadedModels"]

MODEL_ALIAS = "intent_bundle"
"""The name under which bentofile.yaml lists the model; a built bento resolves it to the exact tag it was built with."""


class LoadedModels:
    """The model that answers, once `load` has run; before that, and where it failed, `trouble` says why none does."""

    def __init__(self) -> None:
        self._champion: CustomerScoring | None = None
        self._trouble = "The service is starting."

    def load(self) -> None:
        """Load and check the model, and connect the store; takes seconds. What fails is told by `trouble`."""
        try:
            self._champion = _load()
        except IntentError as error:
            self._trouble = str(error)

    def scoring_for(self, user_id: str) -> CustomerScoring | None:
        """Return what answers requests about a customer, or None if nothing does."""
        return self._champion

    def trouble(self) -> str | None:
        """Return why nothing can be answered as it should be just now, or None; may wait for the store."""
        return self._trouble if self._champion is None else self._champion.trouble()

    def close(self) -> None:
        """Write what waits to be logged."""
        if self._champion is not None:
            self._champion.close()


def _load() -> CustomerScoring:
    bundle = _bundle()
    scorer = Scorer(bundle)
    check_golden(bundle, scorer)
    features = bundle.json("features.json")
    views = views_of(read_views(features), "user_id")
    lookup = open_lookup(read_online_url(os.environ.get(VARIABLE)), views)
    logged = {view.name: features["views"][view.name] for view in views} | {MODEL_INPUTS: model_inputs()}
    served_log = open_served_log(os.environ, str(features.get("service", "")), logged)
    return CustomerScoring(bundle, scorer, lookup, served_log)


def _bundle() -> Bundle:
    try:
        model = bentoml.models.get(MODEL_ALIAS)
    except bentoml.exceptions.BentoMLException as error:
        raise BundleError(
            "No model is published: expected the one this bento was built with. Run `intent publish`, and serve the "
            "bento that it names."
        ) from error
    bundle = Bundle.load(Path(model.path_of("bundle")))
    if bundle.tag != str(model.tag):
        raise BundleError(f"Bundle is another one: got {bundle.tag}; expected {model.tag}. Publish it again.")
    return bundle
