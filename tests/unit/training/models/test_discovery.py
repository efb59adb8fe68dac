import re
import subprocess
import sys

import pytest

import training.models
from feature_repo.errors import InputError
from training.models import member, member_names, members, members_for, require_members_for

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


def test_a_run_without_trees_is_trained_and_evaluated_without_xgboost():
    code = "import sys; sys.modules['xgboost'] = None; import training.pipelines.fit, training.pipelines.evaluate"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


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


@pytest.fixture
def without_xgboost(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)  # Python's own way to say that there is none
    for name in [name for name in sys.modules if name.startswith("training.models.boosted_trees.")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("without_xgboost")
def test_a_member_whose_package_is_not_installed_is_told_with_the_command():
    for ask in (lambda: member("boosted_trees"), members, lambda: members_for("churn")):
        with pytest.raises(
            InputError, match=r"Member 'boosted_trees' needs the package 'xgboost', .*pip install --require-hashes -r"
        ):
            ask()


@pytest.mark.usefixtures("without_xgboost")
def test_members_that_need_no_such_package_are_found_and_named_without_it():
    assert [member(name).name for name in ("recency", "bg_nbd")] == ["recency", "bg_nbd"]
    with pytest.raises(InputError, match=r"'bg_nbd' answers .* expected some of constant_rate, logistic_regression"):
        require_members_for("churn", ["recency", "bg_nbd"])


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nothere_at_all", "ModuleNotFoundError: No module named 'nothere_at_all'"),
        ("x = 1", "has no attribute 'MEMBER'"),
        ("def broken(:", "SyntaxError"),
        ("class M:\n    name = 'half'\n\nMEMBER = M()", "its MEMBER has no parameters and no fit"),
        ("class M:\n    name, parameters, fit = 'other', (), print\n\nMEMBER = M()", "its MEMBER is called 'other'"),
    ],
)
def test_a_member_that_cannot_be_taken_is_named_with_its_folder(source, told, tmp_path, monkeypatch):
    monkeypatch.setattr(training.models, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(training.models, "__path__", [str(tmp_path)])
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "model.py").write_text(source)
    for name in ("training.models.half", "training.models.half.model"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(
        InputError, match=r"Member 'half' cannot be taken from training/models/half/model.py: .*Mend it"
    ):
        member("half")
    with pytest.raises(InputError, match=re.escape(told)):
        member("half")
