"""A model that may serve: found by its exact tag, verified, signed by whom we trust, its golden examples reproduced."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_repo.errors import BundleError
from services.golden_check import check_golden, warm_up
from services.scoring import Scorer
from training.packaging.bundle import MODEL, Bundle
from training.packaging.item_part import item_part

if TYPE_CHECKING:
    from services.item_scorer import ItemScorer

__all__ = ["TAG", "CheckedModel", "checked_model"]

TAG = re.compile(rf"{MODEL}:[0-9a-f]{{16}}")
"""How a model is named: nothing else is looked for, so that no tag leads out of the store."""


@dataclass(frozen=True)
class CheckedModel:
    """A bundle and what scores by it; `golden_difference` is the largest one between stored and computed answers.

    `items` is the bundle's part about items, and what scores by that; None if it has none.
    """

    bundle: Bundle
    scorer: Scorer
    golden_difference: float
    items: "tuple[Bundle, ItemScorer] | None" = None


def checked_model(models: Path, tag: str, keys: Sequence[Any] = ()) -> CheckedModel:
    """Return the model `tag`, loaded and warmed up.

    Args:
        models: BentoML's folder of our models, `<BENTOML_HOME>/models/purchase_intent`.
        tag: the exact tag, `purchase_intent:<16 hexadecimal digits>`.
        keys: Ed25519 public keys, one of which must have signed the bundle; none: it need not be signed.

    Raises:
        BundleError: the tag is malformed or not in the store, or the bundle is altered, another one, not signed by
            these keys, cannot be run, or does not reproduce its golden examples.
    """
    if not TAG.fullmatch(tag):
        raise BundleError(f"Model tag {tag[:80]!r} is malformed; expected {MODEL}:<16 hexadecimal digits>, in full.")
    folder = models / tag.split(":")[1] / "bundle"
    if not folder.is_dir():
        raise BundleError(f"Model {tag} is not in the store; expected it in {models}. Publish it there first.")
    bundle = Bundle.load(folder)
    if bundle.tag != tag:
        raise BundleError(f"Bundle is another one: got {bundle.tag}; expected {tag}. Publish it again.")
    if keys:
        from training.packaging.signature import require_signature  # cryptography takes a while to import

        require_signature(bundle, keys)
    scorer = Scorer(bundle)
    difference = check_golden(bundle, scorer)
    warm_up(bundle, scorer)
    return CheckedModel(bundle, scorer, difference, _items(bundle))


def _items(bundle: Bundle) -> "tuple[Bundle, ItemScorer] | None":
    part = item_part(bundle)
    if part is None:
        return None
    from services.item_scorer import ItemScorer  # features of events need Arrow, which takes a while to import

    scorer = ItemScorer(part)
    check_golden(part, scorer)
    warm_up(part, scorer)
    return part, scorer
