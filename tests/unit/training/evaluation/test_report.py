import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from training.ensemble.combine import log_odds, sigmoid
from training.evaluation.bootstrap import Interval
from training.evaluation.curves import curves_of
from training.evaluation.decisions import FURTHER
from training.evaluation.evaluate import evaluate
from training.evaluation.fairness import fairness_tables
from training.evaluation.metrics import METRICS
from training.evaluation.report import (
    Candidate,
    Oddity,
    ReportInput,
    ShapSummary,
    SplitCount,
    Stage,
    TrainingCurve,
    render,
    write_report,
)
from training.evaluation.targets import TA_FENG_TARGETS, check_targets

LIMIT = 3_000_000
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """Collects elements, and fails on a tag that is closed out of order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def shap(rows: int = 300, features: int = 20) -> ShapSummary:
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(rows, features))
    inputs[::5, 2] = np.nan
    inputs[:, 3] = 1.0
    values = generator.normal(size=(rows, features))
    names = tuple(f"feature_{place}" for place in range(features))
    return ShapSummary(names, np.linspace(1.0, 0.0, features), values, inputs, "trees")


@pytest.fixture(scope="module")
def full(predictions) -> ReportInput:
    evaluation = evaluate(predictions, seed=1, draws=30, thresholds={"sharp": 0.3, "ensemble": 0.25})
    groups = fairness_tables(
        predictions.label, predictions.probability["sharp"], predictions.slices, member="sharp", threshold=0.3
    )
    damaged = {"what": "missing", "changed": 0.1, "mean_move": 0.01, "ensemble": evaluation.metrics["sharp"]}
    spread = {name: {"mean": 0.5, "deviation": 0.1} for name in (*METRICS, *FURTHER)}
    loss = np.array([0.5, 0.45, 0.44])
    return ReportInput(
        title="A small shop",
        question="Will this customer buy in the coming week?",
        evaluation=evaluation,
        curves=curves_of(predictions),
        data={"Lines": 12345, "From": "2000-11-01", "Share": 0.25},
        splits=(SplitCount("test", "2001-02-05", "2001-02-19", 90291, 0.1854),),
        oddities=(Oddity("The log thins out.", "For a week."),),
        shap=shap(),
        training_curves=(TrainingCurve("sequence_lstm", loss, loss + 0.01, 2),),
        candidates=(Candidate("mean", "none", 0.41, (0.4, 0.42), True), Candidate("stacker", "platt", 0.42)),
        weights={"sharp": 0.5, "blunt": 0.0},
        stages=(Stage("ingest", 75.2, 900.0, 817741), Stage("apply", 1.0, 100.0)),
        targets=check_targets(evaluation, TA_FENG_TARGETS),
        versions={"numpy": "2.4"},
        seed=7,
        fairness=groups,
        robustness={"anchors": 500, "customers": 200, "variants": [damaged]},
        seeds={"seeds": [7, 8], "members": {"sharp": spread, "ensemble": spread}},
        ceiling={"best": 0.4, "constant": 0.5, "share": {"sharp": 0.93, "ensemble": None}},
    )


@pytest.fixture(scope="module")
def page(full) -> str:
    return render(full)


def test_needs_no_network_and_no_script(page):
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<iframe", page)
    for _, attributes in Page(page).elements:
        assert not {"src", "srcset", "onload", "onclick"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")


def test_stays_below_three_megabytes_whatever_is_given(full):
    assert len(render(dataclasses.replace(full, shap=shap(20_000, 400))).encode()) < LIMIT


def test_every_id_is_there_once_and_every_reference_leads_somewhere(page):
    elements = Page(page).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)|aria-labelledby="([^"]+)"', page))
    assert {name for names in referred for name in names if name} <= set(ids)


def test_can_be_read_without_seeing_it(page):
    elements = Page(page).elements
    assert ("html", {"lang": "en"}) in elements
    assert all(attributes.get("scope") for tag, attributes in elements if tag == "th")
    plots = [attributes for tag, attributes in elements if tag == "svg"]
    assert len(plots) == 7
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_colours_are_the_pages_so_dark_mode_reaches_the_figures(page):
    body = page[page.index("</style>") :]
    assert re.findall(r"#[0-9a-f]{6}\b", body) == []
    used, defined = set(re.findall(r"var\(--(\w+)\)", page)), set(re.findall(r"--(\w+):", page))
    assert used <= defined


def test_same_run_same_bytes(full, page):
    assert render(full) == page


def test_shows_the_figures_of_the_run(full, page):
    for value in full.evaluation.metrics["ensemble"].values():
        assert f"{value:.2f}" in page
    for text in ("817,741", "18.54", "12,345", "1\N{NARROW NO-BREAK SPACE}min 15", ">missed<", "chosen"):
        assert text in page


def test_a_target_of_a_member_that_is_not_in_the_run_is_not_counted(full, page):
    missed = sum(checked.missed for checked in full.targets)
    assert f"<strong>{missed} of 8 targets are missed</strong>" in page
    for name in ("boosted_trees", "sequence_lstm"):
        assert f"Not asked: <code>{name}</code> is not in this run." in page
    assert page.count(">not asked<") == 2


def test_axis_labels_keep_their_digits(page):
    assert re.search(r"<text[^>]*>0\.\d{3}</text>", page)


def test_nothing_given_still_makes_a_page():
    text = render(ReportInput("Nothing", "Will they buy?", None))
    Page(text)
    assert "There are no test predictions to judge." in text
    assert "<svg" not in text


def test_values_that_are_not_finite_are_dashes_not_errors(full, predictions):
    nan = float("nan")
    evaluation = evaluate(predictions.take(np.arange(40)), seed=1, draws=3)
    empty = np.zeros((0, 2))
    text = render(
        dataclasses.replace(
            full,
            evaluation=dataclasses.replace(
                evaluation,
                metrics={name: dict.fromkeys(values, nan) for name, values in evaluation.metrics.items()},
            ),
            shap=ShapSummary(("a", "b"), np.array([nan, nan]), empty, empty, "trees"),
            training_curves=(TrainingCurve("net", np.array([nan]), np.array([nan])),),
            candidates=(Candidate("mean", "none", nan),),
            weights={"sharp": nan},
            stages=(Stage("ingest", nan, nan, None),),
            splits=(SplitCount("test", "", "", 0, nan),),
            targets=check_targets(evaluation, TA_FENG_TARGETS),
        )
    )
    Page(text)
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL).lower()


def test_one_constant_member_is_drawn(full, predictions):
    alone = dataclasses.replace(predictions, probability={"constant": predictions.probability["constant"]})
    evaluation = evaluate(alone, seed=1, draws=5)
    Page(render(dataclasses.replace(full, evaluation=evaluation, curves=curves_of(alone), targets=())))


@pytest.mark.parametrize("rounded", [False, True])
def test_an_ensemble_that_is_a_member_is_shown_once(full, predictions, page, rounded):
    sharp = predictions.probability["sharp"]
    ensemble = sigmoid(log_odds(sharp)) if rounded else sharp
    assert np.array_equal(ensemble, sharp) != rounded
    same = dataclasses.replace(predictions, probability={"sharp": sharp, "ensemble": ensemble})
    evaluation = evaluate(same, seed=1, draws=5, thresholds={"sharp": 0.3, "ensemble": 0.3})
    text = render(dataclasses.replace(full, evaluation=evaluation, curves=curves_of(same), targets=()))
    assert "The ensemble is <code>sharp</code> itself" in text
    row = '<th scope="row"><code>{}</code></th>'
    # Left for `sharp`: its weight, and its share of what is reachable, which is another one here.
    assert text.count(row.format("sharp")) == 2
    assert text.count(row.format("ensemble")) == 6
    assert "The ensemble is <code>" not in page
    assert "there is no difference to show" in text


def test_what_is_required_of_the_ensemble_is_told_with_its_answer(full, page):
    for one in full.evaluation.requirements:
        why = one.why.replace(" -", " \N{MINUS SIGN}")
        assert f"Required: {one.question}? <strong>{one.answer}</strong>, {why}." in page
        assert f'<th scope="row">{one.question}?</th>' in page
    assert "loses at most 0.003 of ROC-AUC" in page
    assert not all(one.met for one in full.evaluation.requirements)
    assert '<div class="verdict warn"><p>\n  Against its best member, <code>sharp</code>' in page


def test_an_ensemble_that_is_another_member_than_the_best_is_compared_with_the_best(full, predictions):
    probability = {name: predictions.probability[name] for name in ("sharp", "blunt")}
    same = dataclasses.replace(predictions, probability=probability | {"ensemble": probability["blunt"]})
    text = render(dataclasses.replace(full, evaluation=evaluate(same, seed=1, draws=30), curves={}, targets=()))
    Page(text)
    assert "The ensemble is <code>blunt</code> itself" in text
    assert "Ensemble minus <code>sharp</code>" in text
    assert "Required: no worse in AUC? <strong>no</strong>" in text


def test_the_best_member_alone_is_advised_where_the_ensemble_is_worse_calibrated(full, page):
    pair = full.evaluation.paired
    worse = dataclasses.replace(pair.differences["ece"], estimate=0.02, interval=Interval(0.01, 0.03))
    paired = dataclasses.replace(pair, differences={**pair.differences, "ece": worse})
    text = render(dataclasses.replace(full, evaluation=dataclasses.replace(full.evaluation, paired=paired)))
    Page(text)
    advice = "To serve the best member alone, run: intent train --member sharp."
    assert text.count(advice) == 1


def test_shap_without_a_sample_draws_the_means(full):
    summary = ShapSummary(("a", "b"), np.array([0.2, 0.1]), np.zeros((0, 2)), np.zeros((0, 2)), "trees")
    text = render(dataclasses.replace(full, shap=summary))
    assert "Mean effect" in text
    assert "A sample of customers" not in text


def test_a_shops_own_text_cannot_become_markup(full):
    text = render(dataclasses.replace(full, title="<b>&shop", weights={"<i>m": 0.5}))
    assert "<b>&shop" not in text
    assert "&lt;b&gt;&amp;shop" in text
    assert "<i>m" not in text


def test_a_dollar_sign_in_a_name_is_a_dollar_sign(full):
    summary = ShapSummary(("$price$", "a$\\b"), np.array([0.2, 0.1]), np.zeros((0, 2)), np.zeros((0, 2)), "trees")
    assert ">$price$<" in render(dataclasses.replace(full, shap=summary))


def test_writes_the_page_whole(full, tmp_path):
    write_report(tmp_path / "report.html", full)
    assert (tmp_path / "report.html").read_text().rstrip().endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_matplotlibs_settings_are_left_alone(full):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    render(full)
    assert dict(mpl.rcParams) == before
