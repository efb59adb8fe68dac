"""The service in this process, over the tiny bundle: no build, no server, no port."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from _bentoml_impl.server.app import ServiceAppFactory

from services import intent_service, loaded_models
from training.packaging.bundle import Bundle


def publish_here(bundle: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a bundle where the service in this process looks for it; returns its folder there."""
    models, tag = home / "models" / "purchase_intent", Bundle.load(bundle).tag
    monkeypatch.setattr(loaded_models, "_published", lambda: (models, tag))
    monkeypatch.setenv("BENTOML_HOME", str(home))
    return Path(shutil.copytree(bundle, models / tag.split(":")[1] / "bundle"))


@asynccontextmanager
async def served() -> AsyncIterator[httpx.AsyncClient]:
    """Start the service with the environment as it is, and end it."""
    service: Any = intent_service.PurchaseIntent
    service.inject_config()
    app = ServiceAppFactory(service, is_main=True, enable_metrics=False)()  # they can be registered once a process
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client
