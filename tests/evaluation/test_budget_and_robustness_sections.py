from anylead.evaluation.budget_section import budget_section, readout_section
from anylead.evaluation.label_budgets import BudgetResult
from anylead.evaluation.readout_choice import ReadoutChoice, ReadoutTrial
from anylead.evaluation.results import Interval
from anylead.evaluation.robustness_section import robustness_section


def interval(value):
    return Interval(value=value, low=value - 0.01, high=value + 0.02, resamples_used=10)


def budget(system, fraction, value, *, draws=5):
    return BudgetResult(
        system=system,
        fraction=fraction,
        recordings=round(800 * fraction),
        patients=round(400 * fraction),
        macro_auroc=interval(value + 0.05),
        macro_auroc_common=interval(value),
        per_draw=tuple(value + 0.001 * draw for draw in range(draws)),
        classes=9,
        common_classes=6,
        left_out=("LBBB",),
    )


def too_small(system, fraction):
    return BudgetResult(
        system=system,
        fraction=fraction,
        recordings=8,
        patients=4,
        macro_auroc=Interval(value=None),
        macro_auroc_common=Interval(value=None),
        too_small=True,
    )


def test_budgets_are_columns_and_the_small_one_is_named():
    results = [
        too_small("new", 0.01),
        budget("new", 0.1, 0.7),
        budget("new", 1.0, 0.8, draws=1),
        budget("old", 1.0, 0.6, draws=1),
    ]
    section = budget_section(results, notes=["First."])
    grid, draws = section.tables
    assert grid.columns == ("System", "1% (8)", "10% (80)", "100% (800)")
    assert grid.rows[0][1:] == ("too small", interval(0.7), interval(0.8))
    assert grid.rows[1][1:] == ("not evaluated", "not evaluated", interval(0.6))
    assert draws.rows[0] == (
        "new, 10%",
        "80",
        "40",
        "0.700 to 0.704",
        results[1].macro_auroc,
        "9",
        "LBBB",
    )
    assert draws.rows[1][3] == "one draw"
    assert section.notes[0] == "First."
    assert "Too small to run: 1% (8 recordings of 4 patients)." in section.notes
    assert "Mean over 5 draws" in section.notes[1]
    assert "compared on the 6 classes" in section.notes[3]
    (figure,) = section.figures
    assert "new: 0.700 [0.69, 0.72] at 80, 0.800 [0.79, 0.82] at 800" in figure.description


def test_budgets_that_are_all_too_small_leave_a_sentence():
    section = budget_section([too_small("new", 0.01), too_small("old", 0.01)])
    assert section.tables == section.figures == ()
    assert section.notes == ("Too small to run: 1% (8 recordings of 4 patients).",)


def test_the_read_out_is_told_with_all_that_was_tried():
    tried = (
        ReadoutTrial(layer=None, pooling="mean", score=None),
        ReadoutTrial(layer=2, pooling="mean_std", score=0.8),
    )
    whitened = ReadoutTrial(
        layer=1, pooling="mean_std_max", score=0.5, is_whitened=True, equal_error_rate=0.1
    )
    choices = {
        "new, findings": ReadoutChoice(chosen=tried[1], metric="AUROC", judged_on="valid", tried=tried),
        "new, identity": ReadoutChoice(
            chosen=whitened, metric="Rank-1", judged_on="persons", tried=(whitened,)
        ),
    }
    section = readout_section(choices)
    assert section.notes[0] == "new, findings: layer 2, mean and deviation over time, by AUROC on valid."
    (table,) = section.tables
    assert table.columns == ("Candidate", "Score", "Equal error rate", "Choice")
    assert table.rows[0] == ("new, findings: last layer, mean over time", "undefined", "", "")
    assert table.rows[1][3] == "chosen"
    assert table.rows[2][0] == ("new, identity: layer 1, mean, deviation and maximum over time, whitened")
    assert readout_section({"new, findings": choices["new, findings"]}).tables[0].columns == (
        "Candidate",
        "Score",
        "Choice",
    )


def test_each_disturbance_has_a_figure_with_the_clean_score():
    curves = {
        "new": {
            "muscle": [(24.0, interval(0.79)), (-6.0, interval(0.6))],
            "gain": [(0.5, interval(0.7)), (2.0, interval(0.75))],
            "tremor": [(1.0, interval(0.5))],
        },
        "old": {"muscle": [(24.0, interval(0.6))]},
    }
    section = robustness_section(
        curves,
        clean={"new": interval(0.8)},
        recordings={"gain": {0.5: 40, 2.0: 40}, "muscle": {24.0: 40, -6.0: 31}},
        clean_recordings=40,
        notes=["First."],
    )
    assert [figure.caption for figure in section.figures] == ["Muscle noise", "Gain error", "Tremor"]
    muscle, gain, _ = section.figures
    # In rising order; the clean score is a line, and a point where nothing is done.
    assert "new: 0.600 [0.59, 0.62] at -6, 0.790 [0.78, 0.81] at 24; old: 0.600" in muscle.description
    assert ">clean, new</text>" in muscle.svg
    assert "0.800 [0.79, 0.82] at 1, " in gain.description
    table = section.tables[0]
    assert table.columns == ("System", "Clean", "-6 dB", "24 dB")
    assert table.rows[1] == ("old", "not evaluated", "not evaluated", interval(0.6))
    assert section.notes[0] == "First."
    # A level that is judged on other recordings does not lie on the curve.
    assert "Judged on 40 recordings." in section.notes
    other = "Muscle noise, judged on other recordings, so that these levels do not compare: -6 dB: 31."
    assert other in section.notes
    assert not any(note.startswith("Gain error, judged") for note in section.notes)


def test_nothing_disturbed_is_an_empty_section():
    section = robustness_section({})
    assert section.tables == section.figures == section.notes == ()
