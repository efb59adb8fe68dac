"""Build the point-in-time training set: chunk by chunk, resumable, with the test labels apart, and leaks refused."""

import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.errors import InputError, SourceDataError
from feature_repo.transforms.feature_sets import feature_function
from training.dataset.anchor_chunks import AnchorChunks
from training.dataset.anchor_file import FileAnchors
from training.dataset.anchor_sessions import SessionRule
from training.dataset.anchor_survey import Survey, survey
from training.dataset.anchors import require_log_covers
from training.dataset.point_in_time import join_features
from training.dataset.service_definition import ServiceDefinition, describe_service, source_files
from training.dataset.time_splits import SPLITS
from training.pipelines.dataset_checks import check_for_leaks, check_part
from training.pipelines.dataset_folder import DatasetFolder, read_split, read_test_labels
from training.pipelines.feature_store import service_schema
from training.pipelines.profiles import REPOSITORY
from training.pipelines.same_question import question_facts
from training.pipelines.session_checks import check_session_cuts
from training.pipelines.table_dataset import write_table_dataset
from training.pipelines.task_features import calendar_of, service_of
from training.progress import Progress
from training.required_packages import installed_versions
from training.settings import Settings
from training.tasks import task_named

__all__ = ["CHUNK_ROWS", "BuildOptions", "DatasetReport", "build_dataset", "read_split", "read_test_labels"]

CHUNK_ROWS = 50_000
"""Anchors that are joined at a time, unless said otherwise: a date of the demo is one chunk."""

_LIBRARIES = ("feast", "duckdb", "pyarrow", "numpy", "pandas")
_FORMAT = 2


@dataclass(frozen=True)
class BuildOptions:
    """What a build may do otherwise than `intent.toml` says.

    Attributes:
        anchors: a Parquet or CSV file of anchors instead of the named rule.
        service: the feature service, if not the one of the settings, or of the task.
        chunk_rows: the most anchors that are joined at a time; memory grows with it, not with the data set.
        folder: where to write; None is `<out>/dataset`, where the other steps look.
    """

    anchors: Path | None = None
    service: str | None = None
    chunk_rows: int = CHUNK_ROWS
    folder: Path | None = None


@dataclass(frozen=True)
class DatasetReport:
    """What was built: per split the anchor dates, rows and positives; what was dropped or cut; null shares."""

    splits: dict[str, dict[str, Any]]
    dropped: tuple[str, ...]
    dropped_anchors: int
    censored: dict[str, int]
    null_share: dict[str, float]
    leak_checks: dict[str, Any]
    reused_parts: int

    @property
    def rows(self) -> int:
        """Anchors in all splits."""
        return sum(split["anchors"] for split in self.splits.values())


def build_dataset(
    store: Any, settings: Settings | None, out: Path, progress: Progress, options: BuildOptions | None = None
) -> DatasetReport:
    """Join every anchor of every split with its features, into `<out>/dataset/<split>/<part>.parquet`.

    A part is written whole or not at all, and a part that is there already is kept if it was made from the same
    sources, settings and service: a killed build goes on where it was. The labels of the test period lie apart, in
    `test_labels/`, and only the evaluation opens them. Memory is bounded by the chunk, not by the data set.

    Args:
        store: the run's `feast.FeatureStore`; not looked at for the task of a benchmark table.
        settings: of the run; None only with an anchors file, whose rows then need no borders.
        out: the run's folder.
        progress: told of every chunk.
        options: anchors file, service, chunk size, folder.

    Raises:
        SourceDataError: there is no log, or no feature table, or the anchors cannot be read or used.
        SplitError: a split is left without anchors, or with labels of one class, or is too close to the next.
        FeatureError: a feature looks past what was known at its anchor, or has seen the label.
    """
    options = options or BuildOptions()
    if settings is not None and task_named(settings.task.name).of_table:
        return _of_table(settings, out, progress, options)
    if options.chunk_rows < 1:
        raise InputError(f"--chunk-rows is {options.chunk_rows}; expected 1 or more. Leave it out for {CHUNK_ROWS}.")
    service = describe_service(store, options.service or service_of(settings))
    features = feature_function(service.name, calendar_of(settings))
    source = _anchors(settings, out, options, service)
    seed = Settings.model_fields["seed"].default if settings is None else settings.seed
    folder = DatasetFolder(options.folder or out / "dataset")
    with folder.locked():
        facts = _facts(service, settings, out, options)
        found = survey(source, seed, service.keys)
        folder.begin(facts | {"labelled": found.labelled})
        reused = _write_parts(store, service, source, found, folder, progress)
        folder.require_parts(found.parts)
        if settings is not None and found.labelled:
            rule = task_named(settings.task.name).rule
            if isinstance(rule, SessionRule):
                check_session_cuts(out, folder.of_split(next(iter(found.splits))), rule.label)
        checks = check_for_leaks(folder, service, found, out, source.horizon_us, seed, features)
        if _facts(service, settings, out, options) != facts:
            raise SourceDataError(
                "A source changed while the data set was built from it; expected it to stay as it was. Run the same "
                "command again: it begins anew."
            )
        nulls = {split: folder.null_rates(split) for split in found.splits}
        report = DatasetReport(
            {name: count.to_json() for name, count in found.splits.items()},
            source.dropped_dates,
            found.dropped,
            source.censored,
            next(iter(nulls.values())),
            checks,
            reused,
        )
        folder.finish(service_schema(store, service.name), _manifest(facts, service, found, report, nulls))
    return report


def _of_table(settings: Settings, out: Path, progress: Progress, options: BuildOptions) -> DatasetReport:
    """Build the data set of a benchmark table, which has no log and no store."""
    folder = options.folder or out / "dataset"
    written = write_table_dataset(settings, task_named(settings.task.name), out, folder, progress)
    return DatasetReport(
        written["splits"], (), written["dropped_anchors"], {}, written["null_share"], written["leak_checks"], 0
    )


def _anchors(settings: Settings | None, out: Path, options: BuildOptions, service: ServiceDefinition) -> AnchorChunks:
    if options.anchors is not None:
        if not options.anchors.is_file():
            raise SourceDataError(f"No anchors at {options.anchors}; expected a Parquet or CSV file. Check --anchors.")
        features = frozenset(service.features)
        return FileAnchors(options.anchors, settings, options.chunk_rows, service.keys, features)
    if settings is None:
        raise InputError("No settings and no anchors file; expected one of them. Run `intent init`, or give --anchors.")
    task = task_named(settings.task.name)
    task.check(settings)
    if "item_id" in service.keys and "item_id" not in task.entities:
        raise InputError(
            f"Feature service {service.name!r} is about items; got the rule of {settings.data.file}, whose anchors are "
            "customers alone; expected a file with user_id, item_id and event_timestamp. Give one with --anchors."
        )
    require_log_covers(out, settings, task.rule.label_events())
    return task.anchors(out, settings, options.chunk_rows)


def _write_parts(
    store: Any,
    service: ServiceDefinition,
    source: AnchorChunks,
    found: Survey,
    folder: DatasetFolder,
    progress: Progress,
) -> int:
    """Join and write what is not there yet, and return how many parts were."""
    missing = {part for part, rows in found.parts.items() if not folder.has(*part, rows)}
    if not missing:
        return len(found.parts)
    with progress.task("joining features", sum(found.parts[part] for part in missing), "anchors") as task:
        for chunk in source.chunks():
            if chunk.split is None or (chunk.split, chunk.name) not in missing:
                continue
            part = join_features(store, service, chunk.anchors)
            check_part(part, service)
            folder.write(chunk.split, chunk.name, part)
            task.advance(part.num_rows)
    return len(found.parts) - len(missing)


def _facts(service: ServiceDefinition, settings: Settings | None, out: Path, options: BuildOptions) -> dict[str, Any]:
    """Everything that the content of a part depends on."""
    sources = {name: _digest(path, f"view {name!r}", "intent apply") for name, path in service.sources.items()}
    if options.anchors is None:
        sources["events"] = _digest(str(out.resolve() / "events"), "the event log", "intent ingest")
    else:
        sources["anchors"] = _digest(str(options.anchors.resolve()), "the anchors", "your export")
    return {
        "format": _FORMAT,
        "service": service.name,
        "service_hash": service.digest,
        "sources": sources,
        "anchors": _rule(settings, options),
        **({"horizon_days": None, "cut_offs": None} if settings is None else question_facts(settings)),
        "chunk_rows": options.chunk_rows,
        "versions": {"python": platform.python_version()} | installed_versions(_LIBRARIES),
    }


def _rule(settings: Settings | None, options: BuildOptions) -> dict[str, Any]:
    if options.anchors is not None:
        return {"file": options.anchors.name}
    return {} if settings is None else {"rule": settings.anchors.model_dump(mode="json", exclude_defaults=True)}


def _digest(path: str, what: str, command: str) -> str:
    """SHA-256 over the names and contents of a source's files."""
    files = source_files(path, REPOSITORY)
    if not files:
        raise SourceDataError(f"No file of {what} at {path}; expected Parquet, or the file named. Run `{command}`.")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _manifest(
    facts: dict[str, Any],
    service: ServiceDefinition,
    found: Survey,
    report: DatasetReport,
    nulls: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """All that a reader may ask of a data set; `fingerprint` is the same for the same content."""
    content = {name: value for name, value in facts.items() if name not in ("versions", "chunk_rows")}
    return facts | {
        "views": service.views,
        "on_demand": service.on_demand,
        "splits": {name: report.splits[name] for name in (*SPLITS, *report.splits) if name in report.splits},
        "chunks": [{"file": f"{split}/{name}.parquet", "rows": rows} for (split, name), rows in found.parts.items()],
        "dropped": report.dropped,
        "dropped_anchors": report.dropped_anchors,
        **({"censored": report.censored} if report.censored else {}),
        "labelled": found.labelled,
        "null_share": report.null_share,
        "null_rates": nulls,
        "leak_checks": report.leak_checks,
        "fingerprint": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
    }
