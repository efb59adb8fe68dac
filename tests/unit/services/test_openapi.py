"""The OpenAPI document: whole, without dangling references, its examples read by the service's own reading."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from services.openapi import document
from services.request_reading import read_request
from services.route_rules import SYSTEM_RULES
from services.routes import EVENTS, FEEDBACK, ROUTES


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return found.union(*(references(part) for part in value.values()))
    return set().union(*(references(part) for part in value)) if isinstance(value, list) else set()


def test_the_document_is_what_the_openapi_schema_asks_for() -> None:
    assert document()["openapi"].startswith("3.1")
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document())] == []
    assert not OPENAPI_31_VALIDATOR.is_valid(document() | {"paths": []})


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/schemas/{name}" for name in document()["components"]["schemas"]}
    assert references(document()) <= known
    assert json.loads(json.dumps(document())) == document()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_an_example_is_read_as_it_is(route: Any) -> None:
    operation = document()["paths"][route.path]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    request = read_request(json.dumps(example).encode(), route.request, datetime.now(UTC), route.body_bytes)
    assert set(example) <= set(type(request).model_fields)
    assert operation["responses"].keys() >= {"200", "400", "413", "415", "422", "429", "503"}


@pytest.mark.parametrize(("route", "code"), [(EVENTS, "no_outbox"), (FEEDBACK, "no_served_log")])
def test_what_a_route_needs_of_the_operator_is_told(route: Any, code: str) -> None:
    assert f"503 `{code}`" in document()["paths"][route.path]["post"]["description"]


def test_unknown_fields_are_told_to_be_refused() -> None:
    schemas = document()["components"]["schemas"]
    for route in ROUTES:
        assert schemas[route.request.__name__]["additionalProperties"] is False


def test_the_outcome_that_follows_an_answer_names_which_of_several() -> None:
    named = {"/score": set(), "/score_batch": {"user_id"}, "/rank": {"item_id"}}
    for path, operations in document()["paths"].items():
        links = operations.get("post", {"responses": {"200": {}}})["responses"]["200"].get("links", {})
        if "feedback" in links or path in named:  # an explanation is none of the answers that are logged
            (outcome,) = links["feedback"]["requestBody"]["outcomes"]
            assert outcome.keys() == {"request_id", "bought"} | named.pop(path)
    assert not named


def test_what_is_documented_is_served() -> None:
    read = {path for path, operations in document()["paths"].items() if "get" in operations}
    assert read <= set(SYSTEM_RULES)
