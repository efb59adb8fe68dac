"""The model card: what the model answers, on what it was trained, how it did, and what it is not for."""

from typing import Any

from training.packaging.bundle import Bundle

__all__ = ["NOT_FOR", "model_card", "model_card_markdown"]

NOT_FOR = (
    "It says how likely a purchase is, not what would cause one; and it was measured on the data window below: "
    "another shop, or a year later, needs its own measurement."
)


def model_card(bundle: Bundle) -> dict[str, Any]:
    """Return the card as JSON-able data; everything in it comes from the bundle."""
    manifest, ensemble = bundle.manifest, bundle.json("ensemble.json")
    return {
        "model": bundle.tag,
        "answers": f"Will this customer buy within {bundle.horizon_days} day{'s' * (bundle.horizon_days != 1)}?",
        "not_for": NOT_FOR,
        "members": ensemble["members"],
        "combined_by": ensemble.get("method"),
        "views": sorted(bundle.json("features.json")["views"]),
        "data_window": manifest.get("data_window"),
        "data_fingerprint": manifest.get("data_fingerprint"),
        "metrics": manifest.get("metrics"),
        "seed": manifest.get("seed"),
        "versions": manifest.get("versions"),
    }


def model_card_markdown(bundle: Bundle) -> str:
    """Return the card as a page."""
    card = model_card(bundle)
    window = card["data_window"] or {}
    lines = [f"# {card['model']}", "", card["answers"], "", card["not_for"], ""]
    lines += [f"* Data: {window.get('from')} to {window.get('to')} (UTC), fingerprint `{card['data_fingerprint']}`"]
    lines += [f"* Members: {', '.join(card['members'])}; combined by {card['combined_by']}"]
    lines += [f"* Views: {', '.join(card['views'])}", f"* Seed: {card['seed']}", ""]
    lines += ["| | " + " | ".join(_MEASURES) + " |", "| --- |" + " ---: |" * len(_MEASURES)]
    lines.append("| ensemble | " + " | ".join(_shown((card["metrics"] or {}).get(m)) for m in _MEASURES) + " |")
    lines += ["", "Versions: " + ", ".join(f"{k} {v}" for k, v in sorted((card["versions"] or {}).items())), ""]
    return "\n".join(lines)


_MEASURES = ("roc_auc", "pr_auc", "log_loss", "brier", "ece")


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else ""
