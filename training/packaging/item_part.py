"""The model of items inside a bundle: what lies below `item/`, seen as a bundle of its own.

One manifest holds both, and so one hash, one signature and one tag: what ranks items is promoted, refused and brought
back together with what scores customers.
"""

from dataclasses import replace

from training.packaging.bundle import Bundle

__all__ = ["ITEM_FOLDER", "item_part"]

ITEM_FOLDER = "item"


def item_part(bundle: Bundle) -> Bundle | None:
    """Return the part of `bundle` that answers about a customer and an item, or None if it has none.

    Its `manifest` says, beside the bundle's own facts, those of the part: `horizon_days`, `metrics`, `data_window`,
    and `features`, the service's name, its calendar and how long an item is a candidate.
    """
    facts = bundle.manifest.get(ITEM_FOLDER)
    if not isinstance(facts, dict):
        return None
    prefix = f"{ITEM_FOLDER}/"
    files = {name.removeprefix(prefix): data for name, data in bundle.files.items() if name.startswith(prefix)}
    return replace(bundle, manifest={**bundle.manifest, **facts}, files=files)
