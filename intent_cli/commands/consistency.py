"""`intent consistency`: is what was served what training would have seen?"""

from pathlib import Path
from typing import Annotated

import typer

from intent_cli.options import DEFAULT_OUT, AsJson, Out

__all__ = ["consistency"]


def consistency(
    log: Annotated[
        Path, typer.Option("--log", help="Folder of the served log.", metavar="DIR", envvar="INTENT_SERVED_LOG")
    ],
    limit: Annotated[
        float, typer.Option(help="Largest share of a feature's rows that may differ.", min=0.0, max=1.0)
    ] = 0.0,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> int:
    """Replay the log of what was served through the offline join at the same moments, and compare every feature.

    Writes consistency.json and the page consistency.html. Exit code 2 if a feature differs in more than --limit of
    its rows.

    Example: intent consistency --log artifacts/served --out artifacts/demo
    """
    from intent_cli.id_key import known_customers
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.atomic import write_json
    from training.consistency.check import check_consistency
    from training.consistency.report import as_dict, lines, write_page
    from training.pipelines.feature_store import open_store, require_current_features
    from training.pipelines.stages import measured

    with measured("consistency", out) as stage:
        require_current_features(out)
        found = check_consistency(log, open_store(out), progress(as_json), limit, known_customers(out))
        write_json(out / "consistency.json", as_dict(found))
        write_page(out / "consistency.html", found)
        stage.rows = found.vectors
    report(as_json, as_dict(found), stage)
    if not as_json:
        typer.echo("\n".join(lines(found)))
        verdict = "agree" if found.agrees else f"DIFFER in {len(found.failed)} features"
        typer.echo(f"  served and offline {verdict}; the whole page: {out / 'consistency.html'}")
    return 0 if found.agrees else 2
