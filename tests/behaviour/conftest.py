"""One server for all tests that only talk to it: the tiny shop and its items, an outbox, a served log, no keys."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from intent_cli.bento_server import Bento, free_port, running
from intent_cli.server_process import ServerProcess
from services.event_intake import OUTBOX_VARIABLE
from services.hashed_ids import KEY_VARIABLE
from services.online_url import SqliteUrl
from services.served_log import FOLDER_VARIABLE
from tests.online_store import PROJECT, write_online_store
from tests.tiny_items import write_item_bundle, write_item_store
from training.packaging.publish import publish


@pytest.fixture(scope="session")
def tiny_bento(tiny_bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bento:
    """The tiny bundle with its model of items, published, and its online store."""
    folder = tmp_path_factory.mktemp("tiny_bento")
    bundle = write_item_bundle(tiny_bundle_folder, folder / "bundle", folder / "item_members")
    published = publish(bundle, home=folder / "home")
    write_online_store(folder / "online.db")
    write_item_store(folder / "online.db")
    return Bento(published.bento, published.home, SqliteUrl(folder / "online.db", PROJECT))


@pytest.fixture(scope="session")
def open_server(tiny_bento: Bento, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that takes everything; what it wrote is in `serve.log` and `served` beside the outbox."""
    folder = tmp_path_factory.mktemp("open_server")
    with ExitStack() as until_the_end:
        with pytest.MonkeyPatch.context() as patch:  # for the server alone: all later tests have this environment, too
            patch.setenv(OUTBOX_VARIABLE, f"sqlite:///{folder}/outbox.db")
            patch.setenv(FOLDER_VARIABLE, str(folder / "served"))
            patch.setenv(KEY_VARIABLE, "a key of these tests alone")
            server = until_the_end.enter_context(running(tiny_bento, free_port(), log=folder / "serve.log"))
        server.folder = folder  # type: ignore[attr-defined]
        yield server
