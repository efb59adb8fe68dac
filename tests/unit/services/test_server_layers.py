"""What is taken out of BentoML's server is there to be taken: a release that builds it otherwise is noticed here."""

import bentoml
import pytest
from starlette.testclient import TestClient

from services.server_layers import keep_api_methods, without_headers, without_layers


def served() -> bentoml.Service:
    @bentoml.service(metrics={"enabled": False})
    class Plain:
        @bentoml.on_startup
        async def start(self) -> None:
            keep_api_methods(self, Plain.apis)

        @bentoml.api(route="/twice")
        async def twice(self, number: int) -> int:
            return 2 * number

    return Plain


@pytest.fixture
def app():
    made = served().to_asgi(is_main=True)
    made.middleware_stack = made.build_middleware_stack()
    return made


def test_the_layers_are_there_and_are_taken_out_once(app) -> None:
    assert sorted(without_layers(app)) == ["OpenTelemetryMiddleware", "TimeoutMiddleware"]
    assert without_layers(app) == []


def test_it_answers_as_before_and_does_not_say_what_made_it(app) -> None:
    assert without_headers(app)
    without_layers(app)
    with TestClient(app) as client:
        answers = [client.post("/twice", json={"number": number}) for number in (2, 5)]
    assert [answer.json() for answer in answers] == [4, 10]
    assert not {"server", "x-bentoml-request-id"} & set(answers[0].headers)


def test_an_api_method_is_made_once(app) -> None:
    with TestClient(app):
        instance = bentoml.get_current_service()
        assert instance.twice is instance.twice
        assert instance.twice.local is instance.twice.local
