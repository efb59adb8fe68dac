"""`intent simulate`: a synthetic shop whose best reachable score is known."""

from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

__all__ = ["simulate"]


def simulate(
    customers: Annotated[int, typer.Option(help="How many there are; about 114 events each in 63 days.")] = 20_000,
    days: Annotated[int, typer.Option(help="Days of the log, which ends at [splits] log_end.")] = 63,
    items: Annotated[int, typer.Option(help="Items in the catalogue, at least.")] = 12_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    distance: Annotated[
        bool, typer.Option("--distance", help="Write nothing: print how far the shop's shape is from real sets'.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Write a synthetic shop into <out>/simulation: events, customers, items, reviews, and the ceiling of the task.

    The ceiling is the true probability of each anchor's label given all events before it: no model can do better.
    `intent figures` measures a run against it.

    Example: intent simulate --config examples/simulated_shop.toml --out artifacts/simulated_shop

    Example: intent simulate --distance
    """
    from training.pipelines.stages import measured

    if distance:
        _distances(as_json)
        return
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.settings import Settings
    from training.simulator.simulation import Size
    from training.simulator.simulation import simulate as run

    settings = Settings.load(config)
    with measured("simulate", out) as stage:
        told = run(settings, out, Size(customers, days, items, seed), progress(as_json))
        stage.rows = told["counts"]["events"]
    report(as_json, told, stage)
    if as_json:
        return
    counts = told["counts"]
    typer.echo(
        f"  synthetic: simulator version {told['simulator_version']}, parameters {told['parameters_sha256'][:12]}, "
        f"seed {seed}, {told['begin'][:10]} to {told['end'][:10]}"
    )
    typer.echo(f"  {counts['customers']:,} customers, {counts['items']:,} items, {counts['reviews']:,} reviews")
    if told["ceiling"]:
        typer.echo(f"  ceiling of {told['ceiling']['task']}: {counts['anchors']:,} anchors")
    else:
        typer.echo(f"  no ceiling is known for the task {settings.task.name}")


def _distances(as_json: bool) -> None:
    import json

    from intent_cli.tables import distance_lines
    from training.simulator.distances import distances, real_shapes, simulated_log
    from training.simulator.parameters import load_parameters

    parameters = load_parameters()
    found = distances(simulated_log(parameters), real_shapes())
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in found]))
        return
    typer.echo(f"The simulated shop (synthetic), version {parameters.version}, beside real data sets:")
    typer.echo("\n".join(distance_lines(found)))
