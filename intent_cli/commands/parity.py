"""`intent parity`: does the served bento give what training gave?"""

from typing import TYPE_CHECKING, Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

__all__ = ["parity"]

TOLERANCE = 1e-5


def parity(
    customers: Annotated[int, typer.Option(help="How many customers to compare.", min=1)] = 200,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> int:
    """Compare test_predictions.parquet at the last anchor with what the served bento answers at that moment.

    A separate online project is materialised as of that anchor. Exit code 2 if a probability differs by more
    than 1e-5.

    Example: intent parity --customers 200
    """
    from intent_cli import bento_server
    from intent_cli.online_address import profile_address
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from services.client import IntentClient
    from training.pipelines.feature_store import materialise, views_read
    from training.pipelines.profiles import store_settings
    from training.pipelines.stages import measured
    from training.settings import Settings

    settings = Settings.load(config)
    at = settings.last_anchor()
    project = f"{store_settings(out)['project']}_at_{at:%Y%m%d}"
    online = out / "feast" / f"{project}.db"
    with measured("parity", out) as stage:
        expected = _predictions(out, at, customers, settings.seed)
        materialise(out, at, progress(as_json), online=online, project=project, views=views_read(out))
        bento = bento_server.published_bento(out, profile_address(out, online, project))
        serving = bento_server.running(bento, None, log=out / "parity.log")
        with serving as server, IntentClient(server.address) as client:
            differences = [abs(client.score(user_id, at).probability - p) for user_id, p in expected.items()]
        stage.rows = len(differences)
    largest, agrees = max(differences), max(differences) <= TOLERANCE
    result = {"at": at.isoformat(), "customers": len(differences), "largest_difference": largest, "agrees": agrees}
    report(as_json, result, stage)
    if not as_json:
        typer.echo(
            f"  training and serving {'agree' if agrees else 'DIFFER'} at {at:%Y-%m-%d}: over {len(differences)} "
            f"customers the largest difference is {largest:.2e} (at most {TOLERANCE:.0e} allowed)"
        )
    return 0 if agrees else 2


def _predictions(out: "Path", at: "datetime", customers: int, seed: int) -> dict[str, float]:
    """Probability of the ensemble by customer at `at`, for `customers` of them drawn with `seed`."""
    import numpy as np

    from feature_repo.errors import SourceDataError
    from training.evaluation.predictions import ENSEMBLE, Predictions

    found = Predictions.read(out / "test_predictions.parquet")
    rows = np.flatnonzero(found.anchor_us == int(at.timestamp()) * 1_000_000)
    if not len(rows):
        raise SourceDataError(f"No prediction at {at:%Y-%m-%d}; expected the last anchor. Run `intent evaluate`.")
    drawn = np.random.default_rng(seed).permutation(rows)[:customers]
    return {str(found.user_id[row]): float(found.probability[ENSEMBLE][row]) for row in drawn}
