"""What `GET /model` tells: the champion's card, metrics, data window and feature schema, and what is in which slot."""

from typing import Any

from services.loaded_models import LoadedModels
from training.packaging.bundle import Bundle
from training.packaging.item_part import item_part
from training.packaging.model_card import model_card

__all__ = ["described"]


def described(models: LoadedModels) -> dict[str, Any]:
    """Return JSON-able data; nothing but `slots` where no model answers. `items` is the bundle's part about items.

    `features` maps each view to its join keys, fields (name → type) and time to live in seconds; null: for ever.
    """
    now = models.answering
    told: dict[str, Any] = {} if now is None else _told(now.champion.checked.bundle)
    if now is not None:
        told["golden_difference"] = now.champion.checked.golden_difference
    return told | {"slots": _slots(models)}


def _told(bundle: Bundle) -> dict[str, Any]:
    told = {"model": bundle.tag, "card": model_card(bundle), "signed": bundle.signature is not None} | _part(bundle)
    items = item_part(bundle)
    return told if items is None else told | {"items": _part(items)}


def _part(bundle: Bundle) -> dict[str, Any]:
    views = bundle.json("features.json")["views"]
    return {
        "horizon_days": bundle.horizon_days,
        "metrics": bundle.manifest.get("metrics"),
        "data_window": bundle.manifest.get("data_window"),
        "features": {
            name: {
                "join_keys": view["join_keys"],
                "fields": view["fields"],
                "ttl_seconds": view["ttl_seconds"] or None,
            }
            for name, view in views.items()
        },
    }


def _slots(models: LoadedModels) -> dict[str, Any]:
    now = models.answering
    if now is None:
        return {"champion": None, "challenger": None, "refused": dict(models.refused)}
    return {
        "champion": now.champion.tag,
        "challenger": None if now.challenger is None else now.challenger.tag,
        "challenger_share": now.slots.challenger_share,
        "shadow": now.slots.shadow,
        "refused": dict(models.refused),
    }
