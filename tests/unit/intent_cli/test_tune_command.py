"""`intent tune` where what it searches with is not installed."""

import sys

from intent_cli.main import run


def test_without_optuna_it_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run(["tune", "recency", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "`intent tune` needs the package 'optuna', which is not installed" in error
    assert "pip install --require-hashes -r requirements/platform.txt" in error
    assert "Unexpected" not in error
    assert list(tmp_path.iterdir()) == []
