"""Anchors, labels and splits: half-open windows, contiguous splits, and no label window over a border."""

import contextlib
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from feature_repo.errors import SettingsError, SourceDataError, SplitError
from feature_repo.events import EVENT_SCHEMA
from training.dataset.anchor_sessions import PREFIX, SessionAnchors
from training.dataset.anchors import anchor_dates, customers_at, open_log, require_log_covers
from training.dataset.time_splits import plan_splits
from training.settings import Settings, midnight, template

DEMO = {
    "data": {"adapter": "ta_feng"},
    "task": {"horizon_days": 7},
    "anchors": {"every": "monday", "first": "2000-12-04"},
    "splits": {"train_until": "2001-01-15", "validation_until": "2001-02-05", "log_end": "2001-03-01"},
}


def make(**changes) -> Settings:
    return Settings.model_validate({**DEMO, **changes})


def test_the_demo_has_six_three_and_three_dates() -> None:
    settings = make()
    plan = plan_splits(anchor_dates(settings.anchors, midnight(settings.splits.log_end)), settings)
    assert [len(plan.dates[name]) for name in ("train", "validation", "test")] == [6, 3, 3]
    assert plan.dates["test"][-1] == settings.last_anchor() == datetime(2001, 2, 19, tzinfo=UTC)
    assert [at.date() for at in plan.dropped] == [date(2001, 2, 26)]


@given(
    st.integers(1, 30),
    st.lists(st.integers(0, 200), min_size=3, max_size=3, unique=True).map(sorted),
    st.sampled_from(["monday", "thursday", "sunday"]),
)
@hypothesis_settings(max_examples=200)
def test_no_label_window_crosses_a_border(horizon, borders, weekday) -> None:
    first = date(2020, 1, 1)
    days = [str(first + timedelta(days=offset)) for offset in borders]
    settings = make(
        task={"horizon_days": horizon},
        anchors={"every": weekday, "first": str(first)},
        splits=dict(zip(("train_until", "validation_until", "log_end"), days, strict=True)),
    )
    dates = anchor_dates(settings.anchors, midnight(settings.splits.log_end))
    plan = None
    with contextlib.suppress(SplitError):
        plan = plan_splits(dates, settings)
    if plan is None:  # some split has no date at all, which is refused
        return
    ends = [midnight(settings.splits.train_until), midnight(settings.splits.validation_until)]
    for name, at in plan.pairs():
        end = at + settings.task.horizon
        begins = {"train": datetime.min.replace(tzinfo=UTC), "validation": ends[0], "test": ends[1]}[name]
        stops = {"train": ends[0], "validation": ends[1], "test": midnight(settings.splits.log_end)}[name]
        assert begins <= at
        assert end <= stops
    assert len(plan.pairs()) + len(plan.dropped) == len(dates)


def write_events(folder, rows) -> None:
    events = [
        {"event_id": str(i), "user_id": user, "event_type": kind, "event_timestamp": at, "created_timestamp": known}
        for i, (user, kind, at, known) in enumerate(rows)
    ]
    (folder / "events").mkdir()
    pq.write_table(pa.Table.from_pylist(events, schema=EVENT_SCHEMA), folder / "events" / "part-0.parquet")


def test_a_label_looks_at_the_half_open_window_after_t(tmp_path) -> None:
    t, week = datetime(2001, 1, 8, tzinfo=UTC), timedelta(days=7)
    before = t - timedelta(days=1)
    step = timedelta(microseconds=1)
    rows = [(user, "purchase", before, before) for user in ("at_t", "after_t", "at_end", "past_end", "viewer")]
    rows += [("at_t", "purchase", t, t), ("after_t", "purchase", t + step, t + step)]
    rows += [("at_end", "purchase", t + week, t + week), ("past_end", "purchase", t + week + step, t + week + step)]
    rows += [("viewer", "view", t + step, t + step), ("newcomer", "purchase", t, t)]
    rows += [("known_late", "purchase", before, t + step)]
    write_events(tmp_path, rows)
    with open_log(tmp_path) as log:
        anchors = customers_at(log, t, make())
    found = dict(zip(anchors["user_id"].to_pylist(), anchors["label"].to_pylist(), strict=True))
    assert found == {"after_t": 1, "at_end": 1, "at_t": 0, "past_end": 0, "viewer": 0}
    assert anchors.schema.field("label").type == pa.int8()


def test_a_session_that_began_before_the_first_day_keeps_its_count(tmp_path) -> None:
    """Asked from midnight on, the session that runs over it has its third event as its third."""
    begin = datetime(2001, 1, 7, 23, 40, tzinfo=UTC)
    times = [begin + timedelta(minutes=15 * number) for number in range(5)]
    write_events(tmp_path, [("u", "view", at, at) for at in times])
    task = {"name": "purchase_in_session", "prefixes": [1, 3, 4]}
    settings = make(task=task, anchors={"first": "2001-01-08"})
    (chunk,) = SessionAnchors(tmp_path, settings, 100).chunks()
    found = chunk.anchors.select([PREFIX, "event_timestamp"]).to_pylist()
    assert [(row[PREFIX], row["event_timestamp"]) for row in found] == [(3, times[2]), (4, times[3])]


def test_a_missing_log_says_what_to_run(tmp_path) -> None:
    with pytest.raises(SourceDataError, match="Run `intent ingest` first"):
        open_log(tmp_path)


@pytest.mark.parametrize(("days", "refused"), [(2, False), (3, False), (4, True), (40, True)])
def test_a_log_that_ends_before_log_end_is_refused(tmp_path, days, refused) -> None:
    last = datetime(2001, 2, 26, tzinfo=UTC)
    rows = [("u", "purchase", at, at) for at in (last - timedelta(days=4), last - timedelta(days=1), last)]
    write_events(tmp_path, rows)  # silent for three days once
    end = str((last + timedelta(days=days)).date())
    settings = make(splits={**DEMO["splits"], "log_end": end})
    if refused:
        with pytest.raises(SplitError, match="last purchase is of 2001-02-26 00:00"):
            require_log_covers(tmp_path, settings)
    else:
        require_log_covers(tmp_path, settings)


@pytest.mark.parametrize("end", ["2001-04-01", "2001-04-01T06:30:00"])
def test_log_end_is_told_as_the_settings_say_it(tmp_path, end) -> None:
    last = datetime(2001, 2, 26, tzinfo=UTC)
    write_events(tmp_path, [("u", "purchase", last, last)])
    settings = make(splits={**DEMO["splits"], "log_end": end}, anchors={**DEMO["anchors"], "timezone": "Asia/Shanghai"})
    with pytest.raises(SplitError, match=f"log_end is {end.replace('T', ' ').removesuffix(':00')}, but"):
        require_log_covers(tmp_path, settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "is not TOML"),
        (template("ta_feng") + "\nfoo = 1\n", "splits.foo"),
        (template("ta_feng").replace("horizon_days = 7", "horizon_days = 0"), "task.horizon_days: got 0"),
        (template("ta_feng").replace("2001-02-05", "2001-01-01"), "expected train_until < validation_until"),
        (template("ta_feng").replace('"monday"', '"mon"'), "anchors.every"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path, text, message) -> None:
    path = tmp_path / "intent.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="(?s)" + message.replace("<", ".")):
        Settings.load(path)


def test_missing_settings_say_what_to_run(tmp_path) -> None:
    with pytest.raises(SettingsError, match="Run `intent init`"):
        Settings.load(tmp_path / "intent.toml")


def test_a_path_in_the_settings_is_relative_to_them(tmp_path) -> None:
    (tmp_path / "intent.toml").write_text(template("table"))
    assert Settings.load(tmp_path / "intent.toml").data.path == tmp_path / "purchases.csv"
