from training.evaluation.targets import CheckedTarget, Target
from training.packaging.run_card import run_card

METRICS = {
    "data": {"title": "A shop", "licence": "CC0", "odd": ["No hours."]},
    "splits": {"train": {"from": "2001-01-01", "to": "2001-02-01", "anchors": 1000, "base_rate": 0.2}},
    "test": {
        "trees": {"roc_auc": 0.7, "roc_auc_ci": [0.6, 0.8], "log_loss": None, "log_loss_ci": [None, None]},
        "ensemble": {"roc_auc": 0.71, "roc_auc_ci": [0.61, 0.81]},
    },
    "seed": 7,
}
TRAINING = {"weights": {"trees": 1.0}, "refitted_on_validation": True}


def test_says_what_the_run_says():
    page = run_card("Will they buy?", METRICS, TRAINING)
    assert page.startswith("# Will they buy?\n")
    for part in ("A shop, CC0", "train: 2001-01-01 to 2001-02-01, 1,000 anchors, 20.00 %", "odd: No hours.", "Seed 7."):
        assert part in page
    assert "| trees | 0.7000 (0.6000 to 0.8000) | not defined | not defined |" in page
    assert "fitted on train and validation" in page
    assert "## Decisions" not in page


def test_shows_groups_and_damaged_logs_where_there_are_some():
    group = {"value": "CH", "anchors": 10, "positives": 3, "figures": {"roc_auc": 0.7}}
    fairness = [{"column": "country", "groups": [group], "differences": {"roc_auc": 0.05}}]
    variants = [{"what": "as it is", "changed": 0.0, "ensemble": {"roc_auc": 0.7}}]
    more = {
        "further": {"trees": {"threshold": 0.25, "f1": 0.4, "f1_ci": [0.3, 0.5]}},
        "fairness": fairness,
        "robustness": {"anchors": 10, "variants": variants},
    }
    page = run_card("Will they buy?", METRICS | more, TRAINING)
    assert "| trees | 0.2500 |" in page
    assert "| country | 1 of 1 | 0.0500 |" in page
    assert "| as it is | 0.00 % | 0.7000 |" in page


def test_says_how_often_intervals_held():
    found = {"coverage": 0.875, "expected": 0.6, "mean_width": 0.1, "dates": 4, "test_dates": 3}
    page = run_card("Will they buy?", METRICS | {"intervals": found}, TRAINING)
    assert "held the rate of buyers for 87.50 % of the anchors (60.00 % or more expected)" in page


def test_says_what_is_required_of_the_ensemble():
    asked = {"text": "required: no worse in AUC? not shown, the interval reaches below -0.003", "advice": ""}
    calibrated = {"text": "required: better calibrated? no, ECE is behind", "advice": "To serve the best member alone"}
    record = {
        "member": "trees",
        "delta_roc_auc": 0.01,
        "ci": [-0.004, 0.02],
        "verdict": "inside the noise",
        "delta_log_loss": 0.0003,
        "delta_log_loss_ci": [0.0001, 0.0005],
        "delta_log_loss_verdict": "behind",
        "delta_ece": None,
        "delta_ece_ci": [None, None],
        "delta_ece_verdict": "inside the noise",
        "same": False,
        "requirements": [asked, calibrated],
    }
    page = run_card("Will they buy?", METRICS | {"paired": {"ensemble_minus_best_member": record}}, TRAINING)
    auc = "roc_auc +0.0100 (-0.0040 to +0.0200), inside the noise"
    loss = "log_loss +0.0003 (+0.0001 to +0.0005), behind"
    assert f"Ensemble minus trees, the best member in hindsight: {auc}; {loss}; ece not defined." in page
    assert f"* {asked['text']}\n* {calibrated['text']}\n  {calibrated['advice']}\n" in page
    plain = {"ensemble_minus_trees": record}
    assert "Ensemble minus trees: roc_auc" in run_card("Will they buy?", METRICS | {"paired": plain}, TRAINING)


def test_says_which_targets_were_met_and_missed():
    bound = Target("ensemble", "roc_auc", "≥", 0.75)
    absent = CheckedTarget(Target("net", "roc_auc", "≥", 0.745), float("nan"), asked=False)
    guard = Target("ensemble", "roc_auc", "≤", 0.8, "above it, a leak")
    targets = [*(CheckedTarget(bound, value) for value in (0.76, 0.7)), absent, absent, CheckedTarget(guard, 0.76)]
    page = run_card("Will they buy?", METRICS | {"targets": [one.to_json() for one in targets]}, TRAINING)
    lines = [
        "Targets, 2 of 3 met:",
        "",
        "* met: ensemble roc_auc 0.7600, expected ≥ 0.75",
        "* missed: ensemble roc_auc 0.7000, expected ≥ 0.75",
        "* not asked: net is not in this run",
        "* met: ensemble roc_auc 0.7600, expected ≤ 0.8 (above it, a leak)",
    ]
    assert "\n".join(lines) + "\n\n" in page
    assert "Targets" not in run_card("Will they buy?", METRICS, TRAINING)


def test_says_how_the_members_are_combined():
    ways = [
        {"combination": "stacker", "calibration": "beta", "chosen": False},
        {"combination": "log_odds", "calibration": "platt", "chosen": True},
    ]
    page = run_card("Will they buy?", METRICS, TRAINING | {"candidates": ways})
    assert "* trees: weight 1.00\n* combined by log_odds, calibration platt\n" in page
    assert "* combined by mean, calibration none\n" in run_card("Will they buy?", METRICS, TRAINING)


def test_an_ensemble_that_is_a_member_is_called_so():
    row = {"roc_auc": 0.7, "log_loss": 0.4}
    told = {"test": {"trees": row, "ensemble": dict(row)}, "paired": {"ensemble_minus_best_member": {"same": True}}}
    page = run_card("Will they buy?", METRICS | told, TRAINING)
    assert "The ensemble is trees itself, as it is." in page
    assert "Ensemble minus" not in page
