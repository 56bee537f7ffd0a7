import dataclasses
import re

import numpy as np
import pytest

from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.identity_section import identity_suite_section
from anylead.evaluation.identity_suite import evaluate_identity_suite, identity_difference
from anylead.evaluation.report import Report, Table, render_html


def judge(system, *, persons=30, each=3, noise=1.0, lead_set="12", dated=True, features=8):
    random = np.random.default_rng(0)
    names = [f"p{number:02d}" for number in range(persons) for _ in range(each)]
    centre = np.repeat(random.normal(size=(persons, features)), each, axis=0)
    embeddings = centre + noise * random.normal(size=(len(names), features))
    days = np.tile([0, 0, 90], persons)[: len(names)].astype("timedelta64[D]")
    dates = (np.datetime64("2020-01-01") + days).astype("datetime64[s]") if dated else None
    draws = patient_draws(names, resamples=20)
    return evaluate_identity_suite(
        embeddings, names, recorded_at=dates, draws=draws, system=system, lead_set=lead_set
    )


@pytest.fixture(scope="module")
def judged():
    return {
        (system, leads): judge(system, noise=noise + (leads == "I"), lead_set=leads)
        for system, noise in (("new", 0.5), ("old", 1.5))
        for leads in ("12", "I")
    }


@pytest.fixture(scope="module")
def section(judged):
    differences = [
        identity_difference(judged["new", "12"], judged["old", "12"], "rank1"),
        identity_difference(judged["new", "12"], judged["old", "12"], "eer", subset="cross_session"),
    ]
    return identity_suite_section([one.result for one in judged.values()], differences)


def table(section, caption) -> Table:
    return next(table for table in section.tables if table.caption == caption)


def test_rates_are_systems_against_lead_sets(section, judged):
    for caption, name in (("Rank-1", "rank1"), ("Rank-10", "rank10"), ("Equal error rate", "eer")):
        grid = table(section, caption)
        assert grid.columns == ("System", "12 leads", "lead I")
        assert [row[0] for row in grid.rows] == ["new", "old"]
        assert grid.rows[1][2] == getattr(judged["old", "I"].result, name)
    assert table(section, "Rank-5").folded
    grid = table(section, "True acceptance at a false acceptance rate of 0.01")
    assert grid.rows[0][1] == judged["new", "12"].result.tar["0.01"].rate


def test_places_of_persons_add_up_to_the_probes(section):
    grid = table(section, "Probes by the place of their person, 12 leads")
    assert grid.columns[:3] == ("System", "median", "1")
    assert [sum(int(cell) for cell in row[2:]) for row in grid.rows] == [60, 60]


def test_differences_say_where_and_how_sure(section, judged):
    grid = table(section, "Paired differences, on the same resamples")
    assert grid.rows[0][:4] == ("new minus old", "Rank-1", "12 leads", "all later recordings")
    assert grid.rows[1][1:4] == ("equal error rate", "12 leads", "another date")
    assert re.fullmatch(r"\+0\.\d{3} \[[+-]0\.\d{3}, \+[01]\.\d{3}\]", str(grid.rows[0][4]))


def test_notes_say_on_what_and_what_is_missing(section):
    notes = " ".join(section.notes)
    assert "60 probes of 30 persons among 30 enrolled, 1740 impostor comparisons." in notes
    assert "than 10: 1-30 days (0), 183-365 days (0), over a year (0)." in notes
    # One sentence for all rates, and what is the same for both lead sets is said once.
    told = "of 0.001, 0.0001: 1740 impostor comparisons mean 1.7, 0.17 there; 10 are needed."
    assert f"No true acceptance at a false acceptance rate {told}" in notes
    assert notes.count("No open-set rate at a false acceptance rate of 0.1, ") == 1


def test_curves_are_of_one_lead_set(section, judged):
    grid = table(section, "Rank-1 by time since enrolment, 12 leads")
    assert grid.columns == ("System", "same day", "31-182 days", "any other day")
    assert grid.rows[0][1] == judged["new", "12"].result.gaps[0].rank1
    persons = table(section, "Rank-1 by persons in the gallery, 12 leads")
    assert persons.columns == ("System", "10", "20", "30")
    assert table(section, "Rank-1 by recordings enrolled, 12 leads").columns == ("System", "1", "2")


def test_figures_are_of_the_lead_set_with_the_most_probes(judged):
    fewer = judge("new", persons=12, lead_set="6").result
    section = identity_suite_section([fewer, judged["new", "12"].result])
    assert all("12 leads" in figure.caption for figure in section.figures)
    captions = [one.caption for one in section.tables]
    assert "Rank-1 by recordings enrolled, 12 leads" in captions
    assert "Rank-1 by recordings enrolled, 6 leads" not in captions
    assert any("Curves are those of 12 leads" in note for note in section.notes)


def test_what_differs_between_lead_sets_is_said_with_its_leads(judged):
    fewer = judge("new", persons=12, lead_set="I").result
    notes = " ".join(identity_suite_section([judged["new", "12"].result, fewer]).notes)
    assert "12 leads: 60 probes of 30 persons" in notes
    assert "lead I: 24 probes of 12 persons" in notes
    assert "lead I: Open set: 12 persons have a later recording; 20 are needed" in notes


def test_figures_of_every_kind(section):
    captions = [figure.caption for figure in section.figures]
    assert captions == [
        "Cumulative match (CMC), 12 leads",
        "Detection error trade-off, 12 leads (dotted: equal errors)",
        "Open set, 12 leads",
        "Rank-1 by time since enrolment, 12 leads",
        "Rank-1 by persons in the gallery, 12 leads",
        "Rank-1 by recordings enrolled, 12 leads",
    ]
    assert all("new" in figure.description for figure in section.figures)
    page = render_html(Report(title="t", summary=(), sections=(section,)))
    assert page.count("<svg") == 6


def test_det_axes_are_probits(section):
    figure = section.figures[1]
    assert "equal error rate 0." in figure.description
    assert {"5 %", "20 %", "50 %"} <= set(re.findall(r">(\d+ %)<", figure.svg))


def test_systems_beyond_the_sixth_stand_in_the_tables_alone(judged):
    one = judged["new", "12"].result
    many = [dataclasses.replace(one, system=f"system {number}") for number in range(8)]
    section = identity_suite_section(many)
    assert len(table(section, "Rank-1").rows) == 8
    assert "system 5" in section.figures[0].description
    assert "system 6" not in section.figures[0].description
    assert "In the tables, not in the figures: system 6, system 7." in section.notes
    chosen = identity_suite_section(many, drawn=["system 7"])
    assert "system 7" in chosen.figures[0].description
    assert "system 0" not in chosen.figures[0].description


def test_a_small_store_without_dates_still_has_its_parts():
    small = judge("new", persons=4, each=2, dated=False).result
    section = identity_suite_section([small])
    assert [figure.caption for figure in section.figures] == [
        "Cumulative match (CMC), 12 leads",
        "Detection error trade-off, 12 leads (dotted: equal errors)",
    ]
    notes = " ".join(section.notes)
    assert "no dates" in notes
    assert "4 persons have a later recording; 20 are needed" in notes


def test_a_perfect_system_has_a_page():
    section = identity_suite_section([judge("new", noise=0.0).result])
    assert render_html(Report(title="t", summary=(), sections=(section,)))


def test_nothing_judged_is_said():
    section = identity_suite_section([], notes=("First.",))
    assert section.notes == ("First.", "Identification: nothing was judged.")
    assert section.tables == ()
