"""The request's context through Feast, as read back from the registry, against Python's own calendar."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from feature_repo.transforms.context import CONTEXT_NAMES
from tests.parity.test_activity_views import micros, write  # the same small log writer
from training.pipelines import feature_store
from training.progress import Silent

MOMENTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2000, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2001, 1, 1, tzinfo=UTC),
    datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
    datetime(2026, 12, 26, 12, tzinfo=UTC),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, USER_SCHEMA

    out = tmp_path_factory.mktemp("context")
    event = {"event_id": "1", "user_id": "u", "event_type": "view", "event_timestamp": MOMENTS[2],
             "created_timestamp": MOMENTS[2]}  # fmt: skip
    for name, rows, schema in (
        ("events", [event], EVENT_SCHEMA),
        ("users", [], USER_SCHEMA),
        ("items", [], ITEM_SCHEMA),
    ):
        write(out, name, rows, schema)
    feature_store.derive_features(out, Silent())
    feature_store.apply(feature_store.open_store(out), out)
    return feature_store.open_store(out)


def expected(moment: datetime) -> list[int]:
    return [moment.hour, moment.weekday(), int(moment.weekday() >= 5), moment.month]


def test_offline(store) -> None:
    frame = pd.DataFrame(
        {
            "user_id": "u",
            "event_timestamp": [max(moment, datetime(1970, 1, 2, tzinfo=UTC)) for moment in MOMENTS],
            "request_at": [micros(moment) for moment in MOMENTS],
        }
    )
    features = ["user_history:lifetime_lines", *(f"request_context:{name}" for name in CONTEXT_NAMES)]
    found = store.get_historical_features(entity_df=frame, features=features).to_df()
    assert found[list(CONTEXT_NAMES)].to_numpy().tolist() == [expected(moment) for moment in MOMENTS]


def test_online(store) -> None:
    features = [f"request_context:{name}" for name in CONTEXT_NAMES]
    for moment in (*MOMENTS, MOMENTS[-1] + timedelta(hours=13)):
        answer = store.get_online_features(features=features, entity_rows=[{"request_at": micros(moment)}]).to_dict()
        assert [answer[name][0] for name in CONTEXT_NAMES] == expected(moment)
