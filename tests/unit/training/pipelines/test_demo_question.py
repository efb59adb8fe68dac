"""The demo's targets are those of the demo's question, and of no other test."""

from pathlib import Path

import pytest

from training.pipelines.demo_question import of_the_demo
from training.settings import Settings

DEMO = Settings.load(Path(__file__).parents[4] / "intent.toml")
BY_RULE = {"anchors": {"rule": {"every": "monday"}}}


def changed(section: str, **values) -> Settings:
    raw = DEMO.model_dump(mode="json", exclude_defaults=True)
    return Settings.model_validate(raw | {section: raw[section] | values})


def test_the_settings_of_the_demo_ask_its_question() -> None:
    assert of_the_demo(DEMO, BY_RULE)
    assert of_the_demo(DEMO.model_copy(update={"seed": 7}), BY_RULE)


@pytest.mark.parametrize(
    "other",
    [
        changed("data", adapter="online_retail"),
        changed("task", horizon_days=14),
        changed("task", name="churn"),
        changed("task", paid_only=True),
        changed("anchors", every="day"),
        changed("anchors", first="2000-12-11"),
        changed("anchors", exclude=("01181418",)),
        changed("splits", train_until="2001-01-08"),
        changed("splits", validation_until="2001-01-29"),
        changed("splits", log_end="2001-02-20"),
    ],
    ids=lambda settings: settings.model_dump_json(exclude_defaults=True)[:60],
)
def test_another_test_is_not_held_to_its_targets(other: Settings) -> None:
    assert not of_the_demo(other, BY_RULE)


def test_anchors_of_a_file_are_another_test() -> None:
    assert not of_the_demo(DEMO, {"anchors": {"file": "anchors.parquet"}})
