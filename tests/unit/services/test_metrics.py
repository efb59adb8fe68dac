"""The figures of a service: what is counted is what happened, however it was gathered."""

import numpy as np
import pytest

from services.feature_lookup import ViewRows
from services.metrics import Metrics


@pytest.fixture(autouse=True)
def by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of this process alone: BentoML, once it was loaded, makes the library share them through files."""
    import prometheus_client.values

    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.MutexValue)


def lines(metrics: Metrics, name: str) -> dict[str, float]:
    text = metrics.exposition().decode()
    found = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(f"intent_{name}")]
    return {labels: float(value) for labels, value in found}


def rows(*states: tuple[str, str | None, float]) -> ViewRows:
    status, reason, age = zip(*states, strict=True)
    return ViewRows({}, np.array(status, object), np.array(reason, object), np.array(age))


def test_a_histogram_is_what_observing_one_by_one_gives() -> None:
    """Values are gathered and written together; the library itself is the oracle."""
    import prometheus_client as client

    values = [*np.random.default_rng(3).uniform(0, 1.2, 500).tolist(), 0.05, 0.5, 0.95, 1.0, 0.0]
    metrics = Metrics()
    metrics.scores("purchase_intent:aa", values)
    registry = client.CollectorRegistry()
    buckets = tuple(place / 20 for place in range(1, 20))
    oracle = client.Histogram("intent_probability", "", ["model"], buckets=buckets, registry=registry)
    for value in values:
        oracle.labels("purchase_intent:aa").observe(value)
    expected = [line.rsplit(" ", 1) for line in client.generate_latest(registry).decode().splitlines()]
    got = lines(metrics, "probability")
    counted = {labels: float(v) for labels, v in expected if labels.startswith("intent_") and "created" not in labels}
    assert len(counted) == len(buckets) + 3
    assert {labels: got[labels] for labels in counted} == pytest.approx(counted)


def test_views_are_counted_by_state_and_aged_where_fresh() -> None:
    metrics = Metrics()
    metrics.views({"a": rows(("fresh", None, 30.0)), "b": rows(("missing", "absent", np.nan))})
    metrics.views({"a": rows(("fresh", None, 7200.0), ("stale", "expired", 9e9), ("fresh", None, 30.0))})
    metrics.views({"b": rows(("missing", "Redis at redis://10.0.0.7 does not answer", np.nan))})
    counted = lines(metrics, "view_rows_total")
    assert counted == {
        'intent_view_rows_total{reason="",status="fresh",view="a"}': 3,
        'intent_view_rows_total{reason="expired",status="stale",view="a"}': 1,
        'intent_view_rows_total{reason="absent",status="missing",view="b"}': 1,
        'intent_view_rows_total{reason="no answer",status="missing",view="b"}': 1,
    }
    ages = lines(metrics, "view_age_seconds")
    assert ages['intent_view_age_seconds_count{view="a"}'] == 3
    assert ages['intent_view_age_seconds_bucket{le="60.0",view="a"}'] == 2


def test_a_model_that_left_its_slot_is_shown_no_more() -> None:
    metrics = Metrics()
    metrics.models({"champion": "purchase_intent:aa", "challenger": "purchase_intent:bb"}, ready=True)
    metrics.models({"champion": "purchase_intent:bb"}, ready=True)
    assert lines(metrics, "model_info") == {
        'intent_model_info{model="purchase_intent:aa",slot="champion"}': 0,
        'intent_model_info{model="purchase_intent:bb",slot="challenger"}': 0,
        'intent_model_info{model="purchase_intent:bb",slot="champion"}': 1,
    }
    metrics.circuit(True)
    assert lines(metrics, "store_circuit_open") == {"intent_store_circuit_open": 1}


def test_a_shadow_is_told_by_how_far_it_is_off() -> None:
    metrics = Metrics()
    metrics.shadow("purchase_intent:bb", np.array([0.5, 0.2]), np.array([0.5, 0.3]))
    metrics.shadow_left_out()
    differences = lines(metrics, "shadow_difference")
    assert differences['intent_shadow_difference_count{challenger="purchase_intent:bb"}'] == 2
    assert differences['intent_shadow_difference_bucket{challenger="purchase_intent:bb",le="0.0001"}'] == 1
    assert lines(metrics, "shadow_left_out_total") == {"intent_shadow_left_out_total": 1}
