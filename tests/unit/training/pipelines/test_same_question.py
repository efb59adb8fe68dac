"""A data set answers the question that it was built for, and no other."""

import json

import pytest

from feature_repo.errors import SourceDataError
from training.pipelines.same_question import question_facts, require_same_question
from training.settings import Settings

ASKED = {
    "data": {"adapter": "table"},
    "task": {"name": "add_to_cart", "horizon_days": 7},
    "anchors": {"every": "monday", "first": "2000-12-04"},
    "splits": {"train_until": "2001-01-15", "validation_until": "2001-02-05T12:00:00", "log_end": "2001-03-01"},
}


def settings(**changes) -> Settings:
    sections = {name: ASKED[name] | change for name, change in changes.items() if name != "features"}
    return Settings.model_validate(ASKED | sections | {n: c for n, c in changes.items() if n == "features"})


@pytest.fixture
def out(tmp_path):
    told = settings()
    rule = told.anchors.model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "dataset").mkdir()
    manifest = question_facts(told) | {"anchors": {"rule": rule}, "service": "customer_events"}
    (tmp_path / "dataset" / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def test_the_question_itself_is_no_other(out) -> None:
    require_same_question(settings(), out)
    require_same_question(settings(task={"features": "another_service"}, features={"impute": "mean"}), out)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": {"name": "churn"}}, "task.name was 'add_to_cart', now 'churn'"),
        ({"task": {"horizon_days": 14}}, "task.horizon_days was 7, now 14"),
        ({"task": {"horizon_days": None, "horizon_hours": 12}}, "task.horizon_hours was the default, now 12"),
        ({"anchors": {"known_by": "event"}}, "anchors.known_by was the default, now 'event'"),
        ({"splits": {"train_until": "2001-01-08"}}, "splits.train_until was '2001-01-15', now '2001-01-08'"),
    ],
)
def test_another_question_is_refused_by_name(out, changes, told) -> None:
    with pytest.raises(SourceDataError, match=f"built for another question: .*{told}.* Run `intent dataset`"):
        require_same_question(settings(**changes), out)


def test_a_file_of_anchors_without_settings_fits_all(out) -> None:
    manifest = {"anchors": {"file": "anchors.parquet"}, "horizon_days": None, "cut_offs": None}
    (out / "dataset" / "manifest.json").write_text(json.dumps(manifest))
    require_same_question(settings(task={"name": "churn"}), out)
