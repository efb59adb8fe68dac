"""`intent events`: events as they happen, into the outbox, online, and from a Redis stream."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from intent_cli.options import DEFAULT_OUT, AsJson, Out, OutboxUrl

if TYPE_CHECKING:
    from collections import Counter

    from feature_repo.streaming.outbox import Outbox, Receipt
    from feature_repo.streaming.redis_stream import RedisStream
    from feature_repo.streaming.stream import EventStream

__all__ = ["events"]

events = typer.Typer(help="Events as they happen: push them, bring them online, see how far.", no_args_is_help=True)

_PUSHED_AT_ONCE = 500
_WAIT_MS = 200


@events.command("push")
def push(
    file: Annotated[str, typer.Argument(help="JSON lines, one canonical event each; - reads standard input.")],
    out: Out = DEFAULT_OUT,
    outbox: OutboxUrl = None,
    as_json: AsJson = False,
) -> None:
    """Take events durably, then bring them online. A repeated event_id is a no-op; what cannot be taken is set apart.

    Example: intent events push events.jsonl --out artifacts/demo
    """
    from collections import Counter

    from feature_repo.errors import InputError
    from intent_cli.progress import progress

    counts = Counter(taken=0, repeated=0)
    stream, _ = _stream(out, outbox)
    with _opened(file) as lines, progress(as_json).task("pushing", 0, "events") as task:
        for batch in _batches(lines):
            _count(stream.push(batch), counts)
            task.advance(len(batch))
    applied = stream.catch_up()
    told = {"taken": counts.pop("taken"), "repeated": counts.pop("repeated"), "quarantined": dict(counts)}
    told |= {"applied": applied, "online": stream.position() is not None}
    _say(as_json, told, f"{told['taken']:,} taken, {told['repeated']:,} repeated, {counts.total():,} in quarantine")
    if counts:
        raise InputError(
            f"{counts.total():,} events are in quarantine ({', '.join(f'{r} {n:,}' for r, n in counts.items())}); the "
            "others were taken. Mend these and push them again."
        )


@events.command("consume")
def consume(
    stream: Annotated[
        str | None, typer.Option(metavar="URL", help="A Redis stream: redis://host:6379/0?stream=NAME&group=NAME.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left, instead of waiting.")] = False,
    out: Out = DEFAULT_OUT,
    outbox: OutboxUrl = None,
) -> None:
    """Bring online what the outbox holds, in order, and go on as more comes; from a Redis stream too, if one is named.

    Example: intent events consume --once --out artifacts/demo

    It may be killed at any moment and run several times at once: no acknowledged event is lost, none counts twice.
    """
    from feature_repo.streaming.redis_stream import RedisStream
    from intent_cli.progress import progress

    applying, _ = _stream(out, outbox)
    source = None if stream is None else RedisStream(stream)
    told_to_wait = False
    with progress().task("applying", 0, "events") as task:
        while True:
            received = 0 if source is None else _receive(source, applying, 0 if once else _WAIT_MS)
            applied = applying.catch_up(most=10_000)
            task.advance(applied)
            if not told_to_wait and applying.position() is None:
                told_to_wait = True
                typer.echo("Events wait: the online store was never materialised. Run `intent materialize`.", err=True)
            if once and not received and not applied:
                break
            if source is None and not applied:
                time.sleep(_WAIT_MS / 4000)
    _say(False, {}, f"online up to event {applying.position() or 0:,}")


@events.command("status")
def status(out: Out = DEFAULT_OUT, outbox: OutboxUrl = None, as_json: AsJson = False) -> None:
    """Say how many events are acknowledged, online, in the log, and in quarantine.

    Example: intent events status --out artifacts/demo
    """
    from training.dataset.log_manifest import LOG_MANIFEST, stream_position

    stream, box = _stream(out, outbox)
    logged = stream_position(out) if (out / LOG_MANIFEST).is_file() else 0
    told = {"acknowledged": box.head(), "online": stream.position(), "in_log": logged, "quarantined": box.quarantined()}
    where = "not materialised" if told["online"] is None else f"{told['online']:,} online"
    apart = ", ".join(f"{reason} {count:,}" for reason, count in box.quarantined().items()) or "none"
    line = f"{told['acknowledged']:,} acknowledged, {where}, {logged:,} in the log; in quarantine: {apart}"
    _say(as_json, told, line)


def _stream(out: Path, outbox: str | None) -> "tuple[EventStream, Outbox]":
    from feature_repo.streaming.outbox import Outbox
    from feature_repo.streaming.stream import EventStream
    from intent_cli.online_address import packed_store, serving_address
    from training.pipelines.stream_log import outbox_url

    box = Outbox(outbox or outbox_url(out))
    return EventStream(box, packed_store(serving_address(out))), box


def _receive(source: "RedisStream", stream: "EventStream", wait_ms: int) -> int:
    messages = source.read(_PUSHED_AT_ONCE, wait_ms)
    if messages:
        stream.push([message.event for message in messages])
        source.confirm(messages)
    return len(messages)


def _opened(file: str) -> Any:
    from feature_repo.errors import SourceDataError

    if file == "-":
        return nullcontext(sys.stdin)
    try:
        return Path(file).open(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise SourceDataError(f"{file} cannot be read ({error.strerror}); expected a file of JSON lines.") from None


def _batches(lines: TextIO) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for line in lines:
        if line.strip():
            batch.append(_parsed(line))
        if len(batch) == _PUSHED_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # the latter: lists in lists, thousands deep
        return line.rstrip("\n")  # the quarantine says that it is no object


def _count(receipts: "list[Receipt]", counts: "Counter[str]") -> None:
    for receipt in receipts:
        if receipt.refusal is not None:
            counts[receipt.refusal.reason] += 1
        else:
            counts["taken" if receipt.is_new else "repeated"] += 1


def _say(as_json: bool, told: dict[str, Any], line: str) -> None:
    typer.echo(json.dumps(told) if as_json else f"events: {line}")
