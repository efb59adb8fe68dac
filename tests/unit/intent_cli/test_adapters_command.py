"""`intent adapters` tells of each source its licence, the data set's page, and how large it is."""

import json

import pytest

from intent_cli.main import run
from training.adapters import adapters

PUBLISHED = {
    "ta_feng", "online_retail", "retailrocket", "taobao_userbehavior", "rees46", "yoochoose", "otto", "online_shoppers",
}  # fmt: skip
YOUR_OWN = {"table", "sql"}
SYNTHETIC = {"simulated_shop"}


def told(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert run(["adapters", *options]) == 0
    return capsys.readouterr().out


def test_the_list_has_every_adapter(capsys) -> None:
    shown = json.loads(told(capsys, "--json"))
    assert [one["name"] for one in shown] == sorted(adapters())
    assert {one["name"] for one in shown} == PUBLISHED | YOUR_OWN | SYNTHETIC


def test_a_published_set_has_a_licence_a_page_and_counts(capsys) -> None:
    shown = {one["name"]: one for one in json.loads(told(capsys, "--json"))}
    for name in PUBLISHED:
        assert shown[name]["licence"]
        assert shown[name]["page"].startswith("https://")
        assert shown[name]["counts"]["lines"] > 0
    assert all(shown[name]["counts"] is None for name in YOUR_OWN | SYNTHETIC)


def test_the_page_for_people_says_the_same(capsys) -> None:
    lines = told(capsys).splitlines()
    for one in (adapter.description for adapter in adapters().values()):
        place = lines.index(f"{one.name}: {one.title}")
        assert lines[place + 1 : place + 3] == [f"  licence: {one.licence}", f"  page: {one.page}"]
        if one.counts:
            assert f"{one.counts.lines:,} lines" in lines[place + 3]
            assert not one.counts.customers or f"{one.counts.customers:,} customers or sessions" in lines[place + 3]
