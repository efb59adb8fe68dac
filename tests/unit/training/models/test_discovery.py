import subprocess
import sys
from pathlib import Path

import pytest

import training.models
from feature_repo.errors import InputError
from training.models import member, member_names, members, require_members_for

KNOWN = [
    "bg_nbd",
    "boosted_trees",
    "constant_rate",
    "logistic_regression",
    "mlp",
    "recency",
    "sequence_gru",
    "sequence_lstm",
    "sequence_transformer",
]


def test_every_folder_with_a_model_is_a_member():
    assert set(KNOWN) <= set(member_names())
    assert [found.name for found in members().values()] == member_names()


def test_finding_members_does_not_load_tensorflow():
    code = "import sys; from training.models import members; members(); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"


def test_an_unknown_member_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'perceptron' is not known; expected one of bg_nbd, boosted_trees"):
        member("perceptron")


def test_a_member_that_answers_other_tasks_only_is_refused():
    require_members_for("purchase_within_horizon", ["bg_nbd", "recency"])
    with pytest.raises(InputError, match=r"'bg_nbd' answers purchase_within_horizon only; .* expected some of boosted"):
        require_members_for("churn", ["recency", "bg_nbd"])


@pytest.mark.parametrize("name", ["", "..", "contract", "network", "__pycache__"])
def test_what_is_not_a_folder_with_a_model_is_unknown(name):
    with pytest.raises(InputError, match="not known"):
        member(name)


def test_a_broken_import_is_raised(tmp_path, monkeypatch):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.py").write_text("import a_module_that_nobody_wrote\n")
    monkeypatch.setattr(training.models, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(training.models, "__path__", [str(tmp_path)])
    assert member_names() == ["broken"]
    with pytest.raises(ModuleNotFoundError, match="a_module_that_nobody_wrote"):
        members()
    assert Path(training.models.__file__).parent == tmp_path
