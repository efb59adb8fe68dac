"""The built bento over real HTTP: what it answers, and that no bad input is its own fault."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from feature_repo.errors import InputError, RequestError
from intent_cli.bento_server import Bento, free_port, require_free, running
from intent_stores.packed_sqlite import PackedSqliteFile
from services.client import IntentClient
from services.online_url import SqliteUrl
from tests.online_store import PROJECT, VIEWS, write_online_store, write_rows
from tests.tiny_shop import AT, USED, shop
from training.packaging.bundle import Bundle
from training.packaging.publish import Published, publish


@pytest.fixture(scope="module")
def published(tiny_bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tiny_bundle_folder, home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def address(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("online")
    write_online_store(folder / "online.db")
    write_damaged_customer(folder / "online.db")
    bento = Bento(published.bento, published.home, SqliteUrl(folder / "online.db", PROJECT))
    with running(bento, free_port(), log=folder / "serve.log") as server:
        yield server.address


def write_damaged_customer(path: Path) -> None:
    """Add a customer whose lists of baskets do not belong together."""
    store = PackedSqliteFile(path, PROJECT)
    for view in VIEWS:
        known, values = shop()[view.name]["00000005"]
        lists = {"basket_lines": list(values["basket_lines"])[1:]} if view.name == "user_baskets" else {}
        write_rows(store, view, {"damaged": (known, dict(values) | lists)})
    store.close()


def send(
    address: str, body: bytes | str, content_type: str = "application/json", path: str = "/score", method: str = "POST"
) -> tuple[int, dict, str]:
    answer = httpx.request(
        method, address + path, content=body, headers={"content-type": content_type}, timeout=20, trust_env=False
    )
    return answer.status_code, answer.json(), answer.headers["content-type"]


def test_a_customer_is_scored(address: str, published: Published) -> None:
    with IntentClient(address) as client:
        answer = client.score("00000005", AT)
    assert 0 < answer.probability < 1
    assert answer.model == published.model
    assert tuple(answer.members) == USED
    assert {name: view.status for name, view in answer.views.items()} == {
        "user_profile": "fresh",
        "user_history": "fresh",
        "user_baskets": "fresh",
    }
    assert (answer.cold_start, answer.degraded, answer.at) == (False, False, AT)
    assert len(answer.request_id) == 32


def test_without_at_the_moment_is_now(address: str) -> None:
    with IntentClient(address) as client:
        answer = client.score("00000005")
    assert abs(datetime.now(UTC) - answer.at) < timedelta(minutes=1)
    assert answer.views["user_baskets"].status == "stale"
    assert answer.degraded


def test_an_unknown_customer_is_no_error(address: str) -> None:
    with IntentClient(address) as client:
        answer = client.score("nobody we know", AT)
    assert answer.cold_start
    assert {view.age_seconds for view in answer.views.values()} == {None}


def test_the_context_is_taken(address: str) -> None:
    body = {"user_id": "00000005", "at": AT.isoformat(), "context": {"channel": "web", "session_seconds": 1.5}}
    assert send(address, json.dumps(body))[0] == 200


def test_a_customer_whose_row_is_damaged_is_answered_without_it_and_counted(address: str) -> None:
    with IntentClient(address) as client:
        alone = client.score("damaged", AT)
        batch = client.score_batch(["00000005", "damaged"], AT)
        whole = client.score("00000005", AT)
    assert (alone.views["user_baskets"].status, alone.views["user_baskets"].reason) == ("missing", "corrupt")
    assert (alone.degraded, alone.cold_start) == (True, False)
    assert [score.degraded for score in batch.scores] == [False, True]
    assert [score.probability for score in batch.scores] == pytest.approx([whole.probability, alone.probability], 1e-6)
    metrics = httpx.get(f"{address}/metrics", timeout=20, trust_env=False).text
    assert 'intent_view_rows_total{reason="corrupt",status="missing",view="user_baskets"} 2.0' in metrics


BAD = {
    "no body": (b"", 400, "malformed_json"),
    "not JSON": ("user_id: 1", 400, "malformed_json"),
    "not UTF-8": (b'{"user_id": "\xff"}', 400, "malformed_json"),
    "no user_id": ("{}", 422, "invalid_request"),
    "a list": ("[1]", 422, "invalid_request"),
    "a long id": (json.dumps({"user_id": "x" * 10_000}), 422, "invalid_request"),
    "an empty id": ('{"user_id": ""}', 422, "invalid_request"),
    "a number for an id": ('{"user_id": 1104905}', 422, "invalid_request"),
    "NaN": ('{"user_id": "a", "context": {"session_seconds": NaN}}', 400, "malformed_json"),
    "Infinity": ('{"user_id": "a", "context": {"session_seconds": -Infinity}}', 400, "malformed_json"),
    "text for a number": ('{"user_id": "a", "context": {"session_position": "two"}}', 422, "invalid_request"),
    "an unknown field": ('{"user_id": "a", "colour": "red"}', 422, "invalid_request"),
    "an unknown field of the context": ('{"user_id": "a", "context": {"colour": 1}}', 422, "invalid_request"),
    "a field twice": ('{"user_id": "a", "user_id": "b"}', 400, "malformed_json"),
    "the far future": ('{"user_id": "a", "at": "2999-01-01T00:00:00Z"}', 422, "time_out_of_range"),
    "the end of time": ('{"user_id": "a", "at": "9999-12-31T23:59:59-23:59"}', 422, "time_out_of_range"),
    "no zone": ('{"user_id": "a", "at": "2001-02-19T00:00:00"}', 422, "invalid_request"),
    "deep": ('{"a":' * 9_000 + "1" + "}" * 9_000, 400, "malformed_json"),
    "large": (json.dumps({"user_id": "x" * 200_000}), 413, "body_too_large"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_the_callers_fault_and_is_explained(address: str, name: str) -> None:
    body, status, code = BAD[name]
    got, problem, media_type = send(address, body)
    assert (got, problem["code"], media_type) == (status, code, "application/problem+json")
    assert problem["status"] == status
    assert "expected" in problem["detail"]
    assert "xxx" not in problem["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/vnd.bentoml+pickle",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ],
)
def test_only_json_is_taken(address: str, content_type: str) -> None:
    status, problem, media_type = send(address, b'{"user_id": "a"}', content_type)
    assert (status, problem["code"], media_type) == (415, "unsupported_media_type", "application/problem+json")


def test_other_routes_and_methods_are_problems_too(address: str) -> None:
    assert send(address, b"{}", path="/nothing")[1]["code"] == "not_found"
    assert send(address, b"{}", method="PUT")[1]["code"] == "method_not_allowed"


def test_the_client_tells_what_the_service_said(address: str) -> None:
    with IntentClient(address) as client, pytest.raises(RequestError, match="more than 1 day in the future"):
        client.score("a", datetime.now(UTC) + timedelta(days=3))


def test_the_documentation_has_the_route(address: str) -> None:
    document = httpx.get(f"{address}/docs.json", timeout=20, trust_env=False).json()
    assert "/score" in document["paths"]
    assert "user_id" in json.dumps(document["components"]["schemas"])


def test_a_used_port_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="cannot be listened on"):
        require_free(int(address.rsplit(":", 1)[1]))


def test_publishing_again_changes_nothing(published: Published, tiny_bundle_folder: Path) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in published.home.rglob("*") if path.is_file() and path.name != "latest"
    }
    again = publish(tiny_bundle_folder, home=published.home)
    assert (again.model, again.bento) == (published.model, published.bento)
    assert (again.model_is_new, again.bento_is_new) == (False, False)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_the_bento_holds_serving_alone_and_names_the_exact_model(published: Published) -> None:
    name, version = published.bento.split(":")
    bento = published.home / "bentos" / name / version
    assert not list((bento / "src").rglob("training/models"))
    assert not list((bento / "src").rglob("intent_cli"))
    assert published.model in (bento / "bento.yaml").read_text()
    requirements = (bento / "env/python/requirements.txt").read_text()
    assert "tensorflow" not in requirements
    assert "xgboost-cpu" in requirements
    assert Bundle.load(published.home / "models" / published.model.replace(":", "/") / "bundle").tag == published.model


def test_the_client_asks_for_batches_and_reasons(address: str) -> None:
    users = ["00000005", "nobody we know"]
    with IntentClient(address) as client:
        batch, why = client.score_batch(users, AT), client.explain("00000005", AT)
        alone = client.score("00000005", AT, reasons=True)
        with pytest.raises(RequestError, match="model of items"):
            client.rank("00000005", ["1", "2"], AT)
        with pytest.raises(RequestError, match="an id twice"):
            client.score_batch(["a", "a"])
    assert [score.user_id for score in batch.scores] == users
    assert why.probability == alone.probability == pytest.approx(batch.scores[0].probability, abs=1e-6)
    assert alone.reasons == [one for one in why.contributions if one.log_odds][:5]
