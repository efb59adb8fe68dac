"""The examples of the served document: each is sent as it stands there, and answered."""

import httpx
import pytest

from intent_cli.server_process import ServerProcess
from services.routes import ROUTES

pytestmark = pytest.mark.xdist_group("the open server")


def test_every_example_of_the_document_is_answered_as_it_is(open_server: ServerProcess) -> None:
    with httpx.Client(base_url=open_server.address, timeout=20, trust_env=False) as client:
        paths = client.get("/docs.json").json()["paths"]
        answers = {}
        for path, operations in paths.items():
            if "post" in operations:
                (media_type,) = operations["post"]["requestBody"]["content"].items()
                answers[path] = client.post(path, json=media_type[1]["example"]).status_code
            else:
                answers[path] = client.get(path).status_code
    assert {path for path in answers if "post" in paths[path]} == {route.path for route in ROUTES}
    assert set(answers.values()) == {200}, answers
