"""`intent promote`: another model for a running service, or the one before; without a failed request, or not at all."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from intent_cli.options import DEFAULT_OUT, AsJson, Out

if TYPE_CHECKING:
    from services.model_slots import Slots

__all__ = ["promote", "slots_after"]


def promote(
    tag: Annotated[str, typer.Argument(help="Exact tag of a published model; 'none' empties the challenger's slot.")],
    alias: Annotated[
        Literal["champion", "challenger"], typer.Option(help="Which slot: who answers, or who is tried.")
    ] = "champion",
    share: Annotated[
        float, typer.Option(help="Share of the customers that the challenger answers.", min=0.0, max=1.0)
    ] = 0.0,
    shadow: Annotated[bool, typer.Option("--shadow", help="The challenger scores what the champion answers.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the service.", min=1.0, max=600.0)] = 60.0,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Put a published model in a slot of the running service, and wait until every worker says that it is there.

    The model is checked here first, then by each worker beside the one that answers. If one of them refuses it, all
    go on with what they had, and the reason is told. To go back, promote the tag of before.

    Example: intent promote purchase_intent:97b1e913d4dcb6e0
    """
    import json

    from intent_cli.promotion import Promotion
    from intent_cli.promotion_lock import promoting_alone

    promotion = Promotion.over(out)
    with promoting_alone(promotion.folder):
        slots = slots_after(promotion.current(), tag, alias, share, shadow)
        ranks = tag == "none" or promotion.check(tag)
        promotion.require_same_horizon(slots)
        workers = promotion.carry_out(slots, wait)
    if alias == "champion" and not ranks:
        typer.echo(f"{tag} has no model of items: /rank, and /score with an item_id, answer 404 with it.", err=True)
    if as_json:
        told = {"champion": slots.champion, "challenger": slots.challenger, "share": slots.challenger_share}
        typer.echo(json.dumps(told | {"shadow": slots.shadow, "workers": workers}))
        return
    who = f"{workers} worker{'' if workers == 1 else 's'} of the service" if workers else "no service that runs here"
    later = "" if workers else "; the next one that starts over this folder does"
    typer.echo(f"{alias} is {tag}, said by {who}{later}.")


def slots_after(before: "Slots", tag: str, alias: str, share: float, shadow: bool) -> "Slots":
    """Return what the slots are to be.

    Raises:
        RequestError: the options do not fit each other.
    """
    from dataclasses import replace

    from feature_repo.errors import RequestError

    if alias == "champion":
        if tag == "none":
            raise RequestError(
                "Somebody must answer: got 'none' for the champion; expected a model's tag. Add --alias challenger to "
                "empty the challenger's slot."
            )
        if share or shadow:
            raise RequestError("A champion answers: got --share or --shadow; expected them with --alias challenger.")
        after = replace(before, champion=tag)
        # A challenger that became the champion has nobody to be compared with.
        return (
            replace(after, challenger=None, challenger_share=0.0, shadow=False) if tag == before.challenger else after
        )
    if tag == "none":
        return replace(before, challenger=None, challenger_share=0.0, shadow=False)
    if not share and not shadow:
        raise RequestError("A challenger without a part: got neither --share nor --shadow; expected one of them.")
    return replace(before, challenger=tag, challenger_share=share, shadow=shadow)
