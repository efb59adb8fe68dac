"""The floor: a BentoML service, as one writes it, that gives back what it was sent."""

import bentoml

__all__ = ["Echo"]


@bentoml.service(workers=1)
class Echo:
    """Gives back what it was sent."""

    @bentoml.api(route="/score")
    async def score(self, user_id: str, at: str) -> dict[str, str]:
        """Give back a customer and a moment."""
        return {"user_id": user_id, "at": at}

    @bentoml.api(route="/rank")
    async def rank(self, user_id: str, item_ids: list[str], at: str) -> dict[str, object]:
        """Give back a customer, items and a moment."""
        return {"user_id": user_id, "item_ids": item_ids, "at": at}
