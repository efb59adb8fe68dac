"""What BentoML puts around every request and nothing needs is gone from a worker of the bento that is served."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from intent_cli.bento_server import Bento
from tests.bare_worker import bare_worker
from tests.hostile_requests import BODIES

ROOT = Path(__file__).resolve().parents[2]
NEEDLESS = {"OpenTelemetryMiddleware", "TimeoutMiddleware"}
HEADERS = {"server", "x-bentoml-request-id"}
# BentoML's own worker; beside it nothing but a look at the app, before it is started and after.
WATCHED = """
import json, runpy, sys
from pathlib import Path
import uvicorn

def names(layer):
    found = []
    while layer is not None:
        found.append(type(layer).__name__)
        layer = getattr(layer, "app", None)
    return found

async def startup(server, sockets=None):
    app = server.config.app
    made = names(app.build_middleware_stack())
    await begin(server, sockets=sockets)
    told.write_text(json.dumps({"made": made, "left": names(app.middleware_stack)}))

told, begin = Path(sys.argv.pop(1)), uvicorn.Server.startup
uvicorn.Server.startup = startup
runpy.run_module("_bentoml_impl.worker.service", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Worker:
    """A worker that answers at `url`: the layers that BentoML makes around a request, and those that are left."""

    url: str
    made: list[str]
    left: list[str]


@pytest.fixture(scope="module")
def worker(tiny_bento: Bento, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("layers")
    log, told = folder / "log", folder / "layers.json"
    with bare_worker(tiny_bento, log, program=["-c", WATCHED, str(told)]) as url:
        ready = httpx.get(f"{url}/readyz", timeout=120, trust_env=False)  # it is answered once it has started
        assert ready.status_code == 200, log.read_text()
        yield Worker(url, **json.loads(told.read_text()))


def test_no_request_passes_a_layer_that_does_nothing_for_it(worker: Worker) -> None:
    assert set(worker.made) >= NEEDLESS, "BentoML builds its server otherwise: there is nothing to take out"
    assert worker.left == [name for name in worker.made if name not in NEEDLESS]
    assert "GuardMiddleware" in worker.left


def test_our_layers_stand_in_the_order_that_the_page_tells(worker: Worker) -> None:
    told = re.findall(r"^\d+\. `(\w+Middleware)`", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    ours = [name for name in worker.left if name in told]
    assert ours == told
    assert len(told) == 4


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [*(("POST", path, 200) for path in ("/score", "/score_batch", "/rank", "/explain")), ("POST", "/events", 503)]
    + [("GET", path, 200) for path in ("/livez", "/readyz", "/model", "/metrics", "/docs.json", "/")]
    + [("GET", "/nothing", 404), ("PUT", "/score", 405)],
)
def test_no_answer_names_what_made_it(method: str, path: str, status: int, worker: Worker) -> None:
    body, headers = BODIES.get(path, b""), {"content-type": "application/json"}
    answer = httpx.request(
        method, worker.url + path, content=body if method == "POST" else None, headers=headers, trust_env=False
    )
    assert answer.status_code == status, answer.text
    assert not HEADERS & set(answer.headers)
    assert "bentoml" not in str(answer.headers).lower()
