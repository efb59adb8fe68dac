"""Calls made up from the OpenAPI document, alone and in chains: none is the service's fault, all keep the document."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from intent_cli.server_process import ServerProcess

pytestmark = pytest.mark.xdist_group("the open server")

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
STEPS = 6


class Calls:
    """The document of a running server, calls of it, and how many were answered how."""

    def __init__(self, address: str) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        document = self.session.get(f"{address}/docs.json", timeout=20).json()
        self.schema = schemathesis.openapi.from_dict(document)
        self.schema.config.update(base_url=address)
        self.answered: Counter[tuple[str, int]] = Counter()
        self.of_items: Counter[tuple[str, int]] = Counter()
        """Those of the routes that take an item or none, with one."""

    def made(self, case: Any) -> None:
        self.checked(case, case.call(session=self.session, timeout=30))

    def checked(self, case: Any, response: Any) -> None:
        self.answered[case.operation.label, response.status_code] += 1
        if isinstance(case.body, dict) and case.body.get("item_id") is not None:
            self.of_items[case.operation.label, response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    @property
    def count(self) -> int:
        return self.answered.total()


@pytest.fixture
def calls(open_server: ServerProcess) -> Iterator[Calls]:
    calls = Calls(open_server.address)
    yield calls
    calls.session.close()


def settings(examples: int, **more: Any) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


def call_each(calls: Calls, each: int) -> None:
    """Call every route with what the document allows, and with what it forbids: `each` times; what only reads, less."""
    for result in calls.schema.get_all_operations():
        operation = result.ok()
        reads = operation.method.upper() == "GET"
        modes = [GenerationMode.POSITIVE] if reads else [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
        for mode in modes:
            strategy = operation.as_strategy(generation_mode=mode)
            made = settings(max(1, each // 10) if reads else each)(hypothesis.given(case=strategy)(calls.made))
            made()


def call_chains(calls: Calls, chains: int) -> None:
    """Follow the links of the document: what one answer says goes into the next request."""

    class Chains(calls.schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"session": calls.session, "timeout": 30}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            calls.checked(case, response)

    Chains.run(settings=settings(chains, stateful_step_count=STEPS))


def summary(calls: Calls) -> str:
    statuses = Counter[int]()
    for (_, status), number in calls.answered.items():
        statuses[status] += number
    ranked = calls.answered["POST /rank", 200]
    about_items = sum(number for (_, status), number in calls.of_items.items() if status == 200)
    return (
        f"{calls.count} calls made up from the document: {dict(sorted(statuses.items()))}, {ranked} rankings and "
        f"{about_items} answers about one item among the 200"
    )


def require_an_answer_of_every_route(calls: Calls) -> None:
    every = {result.ok().label for result in calls.schema.get_all_operations()}
    assert {label for label, status in calls.answered if status == 200} == every
    assert {label for label, status in calls.of_items if status == 200} == {"POST /score", "POST /explain"}


def test_a_thousand_calls(calls: Calls, record_property) -> None:
    call_each(calls, 65)
    alone = calls.count
    call_chains(calls, 60)
    record_property("fault", f"{summary(calls)}, {calls.count - alone} of them in chains")
    assert calls.count >= 1000
    assert calls.count - alone >= 150
    require_an_answer_of_every_route(calls)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_thousand_calls(calls: Calls, record_property) -> None:
    call_each(calls, 1300)
    alone = calls.count
    call_chains(calls, 1300)
    record_property("fault", f"{summary(calls)}, {calls.count - alone} of them in chains")
    assert calls.count >= 20_000
    require_an_answer_of_every_route(calls)
