"""A worker's models in this process: over a store of two good ones, ended with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services import loaded_models
from services.loaded_models import LoadedModels
from tests.model_store import Store
from tests.online_store import write_online_store


@pytest.fixture
def store(tiny_bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(tiny_bundle_folder, tmp_path)
    write_online_store(store.online)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)  # BentoML sets it where a test serves in this process
    monkeypatch.setattr(loaded_models, "_published", lambda: (store.models, store.own))
    return store


@pytest.fixture
def start(store: Store) -> Iterator[Callable[[], LoadedModels]]:
    started: list[LoadedModels] = []

    def begin() -> LoadedModels:
        models = LoadedModels(store.environment)
        started.append(models)
        models.load()
        return models

    yield begin
    for models in started:
        models.close()
