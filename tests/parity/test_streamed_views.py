"""What a stream writes is what Feast's views say: fields, types, keys, time to live, tags, and the hash of an id."""

from dataclasses import replace

import duckdb
import pytest
from feast.repo_config import RepoConfig

from feature_repo import entities, user_views
from feature_repo.derived_tables import DERIVED_TABLES
from feature_repo.events import event_key
from feature_repo.streaming.views import SEQUENCE, USER_COUNTERS, USER_EVENTS
from intent_stores.packed_feast import packed_view
from intent_stores.packed_merge import SequenceRule


@pytest.mark.parametrize("ours", [USER_EVENTS, USER_COUNTERS], ids=lambda view: view.name)
def test_the_views_of_the_stream_are_feasts(ours) -> None:
    config = RepoConfig(project="p", provider="local", registry="none.db", entity_key_serialization_version=3)
    view = getattr(user_views, ours.name)("nowhere")
    assert (view.entities, entities.user.join_key) == ([entities.user.name], *ours.join_keys)
    assert packed_view(view, config) == replace(ours, join_keys=())  # Feast fills the keys in when it is applied


def test_the_rule_of_the_sequence_is_what_its_source_is_tagged_with() -> None:
    view = user_views.user_events("nowhere")
    assert SequenceRule.of(view.name, USER_EVENTS.fields, view.batch_source.tags) == SEQUENCE


def test_the_counters_source_has_no_tags_of_a_sequence() -> None:
    view = user_views.user_counters("nowhere")
    assert SequenceRule.of(view.name, USER_COUNTERS.fields, view.batch_source.tags) is None


@pytest.mark.parametrize("event_id", ["", "e1", "ünïcode ✓", "x" * 5000, "00000001:7", "a'b"])
def test_the_hash_of_an_id_is_the_derivations(event_id) -> None:
    columns = ["event_id", "user_id", "event_type", "item_id", "category", "quantity", "revenue", "cost", "list_price"]
    with duckdb.connect() as connection:
        given = ", ".join(f"'{event_id.replace(chr(39), 2 * chr(39))}' AS {name}" for name in columns[:3])
        unknown = ", ".join(f"NULL AS {name}" for name in columns[3:])
        times = "now() AS event_timestamp, now() AS created_timestamp"
        connection.execute(f"CREATE VIEW events AS SELECT {given}, {unknown}, {times}")
        found = connection.sql(DERIVED_TABLES["user_events"]).project("event_key").fetchall()
    assert found == [(event_key(event_id),)]
    assert 0 <= event_key(event_id) < 2**63
