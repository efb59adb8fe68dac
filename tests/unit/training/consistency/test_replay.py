"""What of a served log can be replayed through a registry."""

from types import SimpleNamespace

import pytest
from feast import Field
from feast.types import Array, Int64

from feature_repo.errors import FeatureError
from training.consistency.replay import TRANSFORMS, require_registered
from training.consistency.served_log import ServedView

FIELDS = {"visits": "Int64", "recent": "Array(Int64)"}


@pytest.fixture
def store() -> SimpleNamespace:
    features = [Field(name="visits", dtype=Int64), Field(name="recent", dtype=Array(Int64))]
    views = [SimpleNamespace(name="stats", features=features)]
    return SimpleNamespace(list_feature_views=lambda: views, list_on_demand_feature_views=list)


def test_what_the_registry_has_is_taken(store: SimpleNamespace) -> None:
    require_registered(store, {"stats": ServedView(("user_id",), FIELDS), next(iter(TRANSFORMS)): ServedView((), {})})


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("other", FIELDS, "other"),
        ("stats", {"gone": "Int64"}, "stats:gone"),
        ("stats", {"visits": "String"}, r"stats:visits \(String\)"),
        (next(iter(TRANSFORMS)), {"gone": "Int64"}, "gone"),
    ],
)
def test_what_is_gone_or_retyped_is_refused_by_name(store: SimpleNamespace, name: str, fields: dict, told: str) -> None:
    with pytest.raises(FeatureError, match=told):
        require_registered(store, {name: ServedView(("user_id",), fields)})
