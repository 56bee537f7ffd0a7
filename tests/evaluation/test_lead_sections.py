import numpy as np
import pytest

from anylead.evaluation.lead_importance import lead_importance
from anylead.evaluation.lead_protocol import lead_curve, sample_subsets
from anylead.evaluation.lead_section import PROBES, fixed_lead_section, lead_section, signed
from anylead.evaluation.report import Report, render_html
from anylead.evaluation.results import ClassificationResult, Difference, Interval
from anylead.leads import STANDARD_12


def interval(value):
    return Interval(value=value, low=value - 0.01, high=value + 0.02, resamples_used=10)


def curve(system, kind, *, without=(), base=0.7):
    values = {
        leads: base + 0.01 * len(leads) + np.zeros(4) for leads in sample_subsets() if leads not in without
    }
    return lead_curve(values, system=system, kind=kind)


def result(system, lead_set, value):
    return ClassificationResult(
        system=system,
        lead_set=lead_set,
        macro_auroc=interval(value),
        macro_auprc=interval(value),
        challenge_score=Interval(value=None),
        per_class=(),
        records=10,
        patients=5,
    )


def table(section, words):
    return next(table for table in section.tables if words in table.caption)


def test_the_two_questions_never_share_a_figure_or_a_table():
    results = [
        result(f"{system}, {probe}", lead_set, value)
        for system, value in (("new", 0.8), ("old", 0.7))
        for probe in PROBES.values()
        for lead_set in ("12", "I")
    ]
    section = fixed_lead_section([*results, result("new, k-NN", "12", 0.1)])
    assert len(section.figures) == len(section.tables) == 2
    for grid in section.tables:
        assert grid.columns == ("System", "12 leads", "lead I")
        assert [row[0] for row in grid.rows] == ["new", "old"]
    curves = [curve(system, kind) for system in ("new", "old") for kind in PROBES]
    figures = lead_section(curves).figures
    assert [figure.caption.split(":")[0] for figure in figures] == ["Shift", "Information"]
    assert all(figure.description.count("new: ") == 1 for figure in figures)


def test_differences_of_fixed_sets_are_told_as_sentences():
    difference = Difference(
        a="new", b="old", metric="macro_auroc", interval=interval(0.1), excludes_zero=True, lead_set="I"
    )
    section = fixed_lead_section([result("new, twelve-lead probe", "I", 0.8)], [difference])
    ((sentence,),) = table(section, "Differences").rows
    assert sentence.startswith("Macro AUROC on lead I: new is better than old")


def test_one_question_alone_is_shown_alone():
    section = fixed_lead_section([result("new, twelve-lead probe", "I", 0.8)])
    assert len(section.tables) == 1
    assert not any(note.startswith("Information") for note in section.notes)


def test_the_number_stands_first_and_says_why_there_is_none():
    missing = sample_subsets()[5:12]
    section = lead_section([curve("new", "shift"), curve("old", "shift", without=missing)])
    number = section.tables[0]
    assert number.columns == ("System", "Shift")
    assert number.rows[0][1].value == pytest.approx(0.765)
    assert number.rows[1][1].value is None
    assert (
        "old, shift: no number, because 7 subsets were not judged: I,aVF; II,aVR; II,aVL; aVL,V2; V3,V6 "
        "and 2 more." in section.notes
    )


def test_tables_name_every_size_and_its_worst_and_best_subset():
    section = lead_section([curve("new", "information")])
    sizes = table(section, "by number of leads")
    assert [row[0] for row in sizes.rows] == ["1 lead", *(f"{size} leads" for size in range(2, 13))]
    assert sizes.rows[2][1].value == pytest.approx(0.73)
    extremes = table(section, "Worst and best")
    assert extremes.rows[-1] == ("new, 12 leads", "1", "0.820 (all)", "0.820 (all)")
    assert extremes.rows[0][2:] == ("0.710 (II)", "0.710 (II)")


def test_worth_of_leads_in_a_table_and_on_the_body():
    everyone = np.array([0.8, 0.75, 0.85])
    without = {lead: everyone - 0.01 * place for place, lead in enumerate(STANDARD_12)}
    one = lead_importance(everyone, without, {"I": everyone - 0.2}, system="new")
    other = lead_importance(everyone, {"I": everyone}, system="old")
    section = lead_section([], [one, other])
    assert [figure.caption for figure in section.figures] == [
        "new: what is lost without a lead",
        "new: what a lead says alone",
        "old: what is lost without a lead",
    ]
    worth = table(section, "worth")
    assert worth.columns == (
        "Lead",
        "new: lost without it",
        "new: alone",
        "old: lost without it",
        "old: alone",
    )
    assert worth.rows[0][0::2] == ("I", one.leads[0].alone, "not evaluated")
    assert worth.rows[1] == ("II", "+0.010 [+0.010, +0.010]", "not evaluated", *["not evaluated"] * 2)


def test_faults_have_names_a_reader_knows():
    conditions = ("wrong-LA-RA", "wrong-V1-V2", "wrong-flat-II", "wrong-noisy-V5", "another")
    section = lead_section([], faults={"new": {name: interval(0.05) for name in conditions}, "old": {}})
    rows = table(section, "wrong leads").rows
    assert [row[0] for row in rows] == [
        "arms exchanged",
        "V1 and V2 exchanged",
        "II flat",
        "V5 noisy",
        "another",
    ]
    assert rows[0][1:] == ("+0.050 [+0.040, +0.070]", "not evaluated")


def test_signs_are_shown_and_the_undefined_is_named():
    assert signed(Interval(value=-0.01)) == "-0.010"
    assert signed(Interval(value=None)) == "undefined"


def test_nothing_evaluated_is_a_page_without_tables():
    for section in (fixed_lead_section([]), lead_section([])):
        assert section.tables == section.figures == ()
        assert section.title in render_html(Report(title="t", summary=(), sections=(section,)))
