"""What one writes first: BentoML, Feast's `get_online_features` and `keras.predict`, request by request.

`BENCHMARK_RUN` names the run whose Feast registry and online store are used. The store is the packed one of this
project, read through Feast: faster than Feast's own. The network has the shapes of the run's, with weights of chance.
"""

import json
import os
from pathlib import Path
from typing import Any

import bentoml
import numpy as np

__all__ = ["Naive"]

_UNITS = 32


@bentoml.service(workers=1, traffic={"timeout": 60})
class Naive:
    """Looks features up by Feast and predicts by Keras."""

    def __init__(self) -> None:
        import keras

        from training.pipelines.feature_store import open_store

        out = Path(os.environ["BENCHMARK_RUN"])
        member = json.loads((out / "members" / "sequence_lstm" / "member.json").read_text())
        features = json.loads((out / "dataset" / "features.json").read_text())
        self._store = open_store(out)
        self._refs = [f"{name}:{field}" for name, view in features["views"].items() for field in view["fields"]]
        channels = member["sequence"]["channels"]
        self._shape = (int(member["sequence"]["max_length"]), len(channels))
        steps = keras.Input(self._shape)
        self._model = keras.Model(steps, keras.layers.Dense(1, "sigmoid")(keras.layers.LSTM(_UNITS)(steps)))
        self._model.predict(np.zeros((1, *self._shape), np.float32), verbose=0)

    @bentoml.api(route="/score")
    def score(self, user_id: str, at: str) -> dict[str, Any]:
        """Return a probability for one customer."""
        known = self._store.get_online_features(features=self._refs, entity_rows=[{"user_id": user_id}]).to_dict()
        return {"user_id": user_id, "at": at, "probability": float(self._predict([self._steps(known)])[0])}

    @bentoml.api(route="/rank")
    def rank(self, user_id: str, item_ids: list[str], at: str) -> dict[str, Any]:
        """Return a probability for a customer with each item, item by item in one prediction."""
        rows = [{"user_id": user_id} for _ in item_ids]
        known = self._store.get_online_features(features=self._refs, entity_rows=rows).to_dict()
        steps = self._steps(known)
        found = self._predict([steps] * len(item_ids))
        return {"at": at, "items": dict(zip(item_ids, found.tolist(), strict=True))}

    def _steps(self, known: dict[str, Any]) -> Any:
        lists = [values[0] for name, values in known.items() if isinstance(values[0], list)]
        steps = np.zeros(self._shape, np.float32)
        for channel, values in enumerate(lists[: self._shape[1]]):
            last = np.asarray(values[-self._shape[0] :], np.float64)
            steps[self._shape[0] - len(last) :, channel] = last / (np.abs(last).max() + 1.0) if len(last) else 0.0
        return steps

    def _predict(self, steps: list[Any]) -> Any:
        return self._model.predict(np.stack(steps), verbose=0)[:, 0]
