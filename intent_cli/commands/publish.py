"""`intent publish`: the bundle, BentoML's model store, and the bento."""

import os
from pathlib import Path
from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

__all__ = ["publish"]


def publish(
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEYFILE", help="Sign the bundle by this Ed25519 key (PEM).")
    ] = None,
    ranking: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings of the run in OUT/ranking, to be packed too: it ranks items."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Pack the trained ensemble into a bundle, put it into BentoML's model store, and build the bento.

    Example: intent publish --config intent.toml --out artifacts/demo
    """
    from intent_cli.promotion import slots_folder
    from intent_cli.reports import report
    from services.model_slots import read_slots
    from training.atomic import write_json
    from training.packaging.bundle import Bundle
    from training.packaging.item_part import ITEM_FOLDER
    from training.pipelines.publish import bundle_path, publish_run
    from training.pipelines.stages import measured
    from training.settings import Settings

    settings, slots = Settings.load(config), slots_folder(out)
    ranked_before = (bundle_path(out) / ITEM_FOLDER).is_dir()
    with measured("publish", out) as stage:
        done = publish_run(settings, out, sign, None if ranking is None else Settings.load(ranking))
        stage.rows = len(Bundle.load(bundle_path(out)).files)
    tags = {"model": done.model, "bento": done.bento, "home": str(done.home)}
    write_json(out / "published.json", {**tags, "home": os.path.relpath(done.home, out.resolve())})
    report(as_json, tags, stage)
    if not as_json:
        typer.echo(f"  model {done.model}{'' if done.model_is_new else ' (was there already)'}")
        typer.echo(f"  bento {done.bento}{'' if done.bento_is_new else ' (was there already)'}, in {_shown(done.home)}")
        if ranked_before and ranking is None:
            typer.echo("  without the model that ranks items, which the last one had; --ranking FILE packs it, too")
        champion = read_slots(slots).champion
        if champion not in (None, done.model):
            typer.echo(f"  `intent serve` answers by {champion}, which was promoted; `intent promote` changes that")


def _shown(path: Path) -> Path:
    """The path from here, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
