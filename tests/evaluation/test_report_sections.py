import math

import pytest

from anylead.evaluation.report import Report, Section, render_html
from anylead.evaluation.results import (
    ClassificationResult,
    ClassScore,
    Difference,
    IdentificationResult,
    Interval,
    TarAtFar,
)
from anylead.evaluation.sections import (
    classification_section,
    column_name,
    difference_sentence,
    identification_section,
    learning_curves_section,
)


def interval(value):
    return Interval(value=value, low=value - 0.1, high=value + 0.1, resamples_used=100)


def classification(system, lead_set, value, *, records=20, score=None):
    return ClassificationResult(
        system=system,
        lead_set=lead_set,
        macro_auroc=interval(value),
        macro_auprc=interval(value - 0.2),
        challenge_score=Interval(value=None) if score is None else interval(score),
        per_class=(ClassScore(name="sinus", positives=9, auroc=interval(value), auprc=interval(value)),),
        records=records,
        patients=10,
        undefined_classes=("asystole",),
    )


def identification(system, subset, *, tar=None):
    return IdentificationResult(
        system=system,
        lead_set="I",
        subset=subset,
        rank1=interval(0.4),
        rank5=interval(0.6),
        eer=interval(0.2),
        tar=tar or {},
        probes=12,
        persons=5,
        enrolled=8,
        impostor_comparisons=84,
    )


def difference(low, high, metric="macro_auroc", subset=None):
    value = Interval(value=(low + high) / 2, low=low, high=high, resamples_used=100)
    return Difference(
        a="new",
        b="old",
        metric=metric,
        interval=value,
        excludes_zero=value.excludes_zero,
        lead_set="12",
        subset=subset,
    )


def table(section, caption):
    return next(table for table in section.tables if table.caption == caption)


def test_systems_are_rows_and_lead_sets_are_columns():
    section = classification_section(
        [classification("new", "12", 0.8), classification("new", "I", 0.7), classification("old", "12", 0.6)]
    )
    grid = table(section, "Macro AUROC")
    assert grid.columns == ("System", "12 leads", "lead I")
    assert [row[0] for row in grid.rows] == ["new", "old"]
    assert str(grid.rows[0][2]) == "0.700 [0.60, 0.80]"
    assert grid.rows[1][2] == "not evaluated"


def test_classes_of_the_first_lead_set_have_a_table_with_positives():
    section = classification_section([classification("new", "12", 0.8), classification("old", "12", 0.6)])
    grid = table(section, "AUROC of each class, 12 leads")
    assert grid.columns == ("Class", "Positives", "new", "old")
    assert grid.rows[0][:2] == ("sinus", "9")


def test_classification_says_on_what_and_what_was_left_out():
    notes = " ".join(classification_section([classification("new", "12", 0.8)]).notes)
    assert "Judged on 20 recordings of 10 patients." in notes
    assert "one outcome only: asystole." in notes
    two = [classification("new", "12", 0.8), classification("new", "I", 0.8, records=30)]
    assert "lead I: judged on 30 recordings" in " ".join(classification_section(two).notes)


def test_challenge_score_has_a_table_only_where_there_is_one():
    captions = [t.caption for t in classification_section([classification("new", "12", 0.8)]).tables]
    assert "PhysioNet/CinC Challenge score" not in captions
    section = classification_section([classification("new", "12", 0.8, score=0.3)])
    assert str(table(section, "PhysioNet/CinC Challenge score").rows[0][1]).startswith("0.300")


def test_other_thresholds_have_a_row_in_the_challenge_score_alone():
    section = classification_section(
        [
            classification("new", "12", 0.8, score=0.3),
            classification("new, other thresholds", "12", 0.8, score=0.5),
            classification("new, retrained", "12", 0.7, score=0.2),
            classification("twin", "12", 0.8, score=0.3),
        ]
    )
    score = table(section, "PhysioNet/CinC Challenge score")
    assert [row[0] for row in score.rows][:2] == ["new", "new, other thresholds"]
    assert [row[0] for row in table(section, "Macro AUROC").rows] == ["new", "new, retrained", "twin"]
    assert table(section, "AUROC of each class, 12 leads").columns[2:] == ("new", "new, retrained", "twin")


def test_kinds_of_probe_stand_apart_and_unresolved_rates_are_told():
    tar = {"0.01": TarAtFar(rate=interval(0.3)), "0.001": TarAtFar(rate=None, reason="too few")}
    section = identification_section(
        [identification("new", "same_day", tar=tar), identification("new", "cross_session")],
        [difference(0.1, 0.3, "rank1", "cross_session")],
    )
    captions = [t.caption for t in section.tables]
    assert "Rank-1, same day" in captions
    assert "Rank-1, another date" in captions
    assert "True acceptance at a false acceptance rate of 0.01, same day" in captions
    assert "True acceptance at a false acceptance rate of 0.001, same day" not in captions
    notes = " ".join(section.notes)
    assert "Same day: 12 probes of 5 persons among 8 enrolled" in notes
    assert "(84) for true acceptance at a false acceptance rate of 0.001" in notes
    row = table(section, "Paired differences, on the same resamples").rows[0]
    assert row == ("new minus old", "Rank-1", "12 leads", "another date", "+0.200 [+0.100, +0.300]", "yes")


def test_sentences_say_no_more_than_the_interval():
    better = difference_sentence(difference(0.1, 0.3))
    assert (
        better
        == "Macro AUROC on 12 leads: new is better than old; the difference is +0.200 [+0.100, +0.300]."
    )
    assert "cannot be told apart" in difference_sentence(difference(-0.1, 0.3))
    assert "new is worse than old" in difference_sentence(difference(-0.3, -0.1))


def test_a_lower_equal_error_rate_is_better():
    sentence = difference_sentence(difference(-0.3, -0.1, "eer", "same_day"))
    assert sentence.startswith("Equal error rate on 12 leads (same day): new is better than old")


def test_an_undefined_difference_is_said_to_be_undefined():
    nothing = Difference(a="a", b="b", metric="rank1", interval=Interval(value=None), excludes_zero=False)
    assert difference_sentence(nothing) == "Rank-1: a and b cannot be compared, it is undefined."


def test_every_logged_number_has_a_curve_and_what_is_none_is_left_out():
    rows = [
        {"step": step, "loss": 1.0 / step, "count": 4, "note": "text", "accuracy": None if step == 2 else 0.5}
        for step in range(1, 6)
    ]
    section = learning_curves_section(rows, references={"loss": {"ln 101": math.log(101)}})
    assert [figure.caption for figure in section.figures] == ["loss", "accuracy"]
    assert "ln 101" in section.figures[0].svg
    assert "over 4 points" in section.figures[1].description


def test_a_run_of_one_step_has_no_curve_and_says_so():
    section = learning_curves_section([{"step": 1, "loss": 2.0}])
    assert section.figures == ()
    assert section.notes == ("The run logged fewer than two steps.",)


@pytest.mark.parametrize("section", [classification_section([]), identification_section([])])
def test_sections_without_results_still_render(section):
    assert isinstance(section, Section)
    assert section.title in render_html(Report(title="t", summary=(), sections=(section,)))


def test_names_of_columns():
    assert [column_name(name) for name in ("12", "II", "limb")] == ["12 leads", "lead II", "limb"]
