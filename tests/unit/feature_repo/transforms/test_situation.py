"""Place and situation of a request, a word at a time: a feature where it is told, absent where it is not."""

import numpy as np
import pytest

from feature_repo.transforms.situation import REQUEST_WORDS, situation_features

TOLD = {
    "request_country": np.array(["FR", "DE", None], object),
    "request_area": np.array(["011", "104", "104"], object),
    "request_device": np.array(["phone", None, "desk"], object),
    "request_channel": np.array(["app", "shop", None], object),
}
USUAL = {"country": np.array(["FR", "FR", "FR"], object), "area": np.array(["011", "011", None], object)}


@pytest.mark.parametrize("word", REQUEST_WORDS)
def test_a_word_that_is_told_is_a_feature_and_no_other_comes_of_it(word):
    numeric, words = situation_features({word: TOLD[word]})
    assert numeric == {}  # nothing is known that it could be compared with
    assert {name: values.tolist() for name, values in words.items()} == {word: TOLD[word].tolist()}


@pytest.mark.parametrize(("place", "expected"), [("country", [1.0, 0.0, np.nan]), ("area", [1.0, 0.0, np.nan])])
def test_a_place_is_compared_with_the_customers_own(place, expected):
    numeric, words = situation_features({f"request_{place}": TOLD[f"request_{place}"], place: USUAL[place]})
    assert set(numeric) == {f"{place}_is_usual"}
    np.testing.assert_array_equal(numeric[f"{place}_is_usual"], expected)
    assert set(words) == {f"request_{place}"}


def test_where_the_request_says_nothing_there_is_no_feature():
    assert situation_features(dict(USUAL)) == ({}, {})


def test_all_of_it_together():
    numeric, words = situation_features(TOLD | USUAL)
    assert set(numeric) == {"country_is_usual", "area_is_usual"}
    assert set(words) == set(REQUEST_WORDS)
