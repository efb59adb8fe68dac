"""Ask a running service for scores, over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx

from feature_repo.errors import DependencyDown

__all__ = ["ask"]


def ask(address: str, user_ids: list[str], at: str) -> Iterator[dict[str, Any]]:
    """Yield the answer of `POST /score` for each customer, at the ISO time `at`.

    Raises:
        DependencyDown: the service does not answer, or with an error.
    """
    with httpx.Client(base_url=address, timeout=30) as client:
        for user_id in user_ids:
            try:
                answer = client.post("/score", json={"user_id": user_id, "at": at})
            except httpx.HTTPError as problem:
                raise DependencyDown(
                    f"The service at {address} does not answer: {problem!r}. Start it with `intent serve`."
                ) from problem
            if answer.status_code != httpx.codes.OK:
                raise DependencyDown(
                    f"The service answered {answer.status_code}: {answer.text[:300]}; expected 200. See its log."
                )
            yield answer.json()
