from dataclasses import replace

import numpy as np
import pytest

from anylead.errors import InputError
from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.comparison import Pair, compare_predictions
from anylead.evaluation.evaluate import evaluate_classification, paired_difference
from prediction_blocks import CLASSES, LABELS, PATIENTS, RECORDS, classification, identification, keep

MINE = Pair(a="mine", b="theirs")


def compare(tmp_path, a, b, *, pairs=(MINE,), resamples=200, **options):
    files = [
        one if not isinstance(one, list) else keep(tmp_path / f"{name}.parquet", *one)
        for name, one in (("a", a), ("b", b))
    ]
    return compare_predictions(*files, pairs, resamples=resamples, **options)


def only(part, metric="macro_auroc"):
    (one,) = [one for one in part.differences if one.metric == metric]
    return one


def test_differences_are_those_of_an_evaluation_of_both(tmp_path):
    a, b = classification("mine", 2.0, seed=1), classification("theirs", 1.0, seed=2)
    part = compare(tmp_path, [a], [b])
    first = {patient: record for patient, record in zip(PATIENTS[::-1], RECORDS[::-1], strict=True)}
    persons = [first[patient] for patient in PATIENTS]
    draws = patient_draws(persons, resamples=200)
    one, two = (
        evaluate_classification(
            LABELS,
            block.scores.astype(float),
            classes=CLASSES,
            patients=persons,
            draws=draws,
            system=block.key.system,
            lead_set="12",
        )
        for block in (a, b)
    )
    for metric in ("macro_auroc", "macro_auprc"):
        expected = paired_difference(one, two, metric).interval
        found = only(part, metric)
        assert found.difference.value == pytest.approx(expected.value)
        assert (found.difference.low, found.difference.high) == pytest.approx((expected.low, expected.high))
        assert found.a - found.b == pytest.approx(expected.value)
    assert [one.name for one in part.classes] == list(CLASSES)
    assert [one.a for one in part.classes] == pytest.approx([one.auroc.value for one in one.result.per_class])
    assert (part.records, part.patients) == (80, 40)


def test_the_other_way_round_is_the_negative(tmp_path):
    a = [classification("mine", 2.0, seed=1), classification("mine", 2.0, condition="noise", seed=1)]
    b = [classification("theirs", 1.0, seed=2), classification("theirs", 1.0, condition="noise", seed=2)]
    part = compare(tmp_path, a, b)
    back = compare(tmp_path, b, a, pairs=(Pair(a="theirs", b="mine"),))
    turned = {"A better": "B better", "B better": "A better", "not shown": "not shown"}
    for one, two in zip([*part.differences, *part.means], [*back.differences, *back.means], strict=True):
        assert one.difference.value == pytest.approx(-two.difference.value)
        assert one.difference.low == pytest.approx(-two.difference.high)
        assert (one.p_value, turned[one.verdict]) == (two.p_value, two.verdict)


def test_order_of_recordings_and_names_of_patients_change_nothing(tmp_path):
    a, b = classification("mine", 2.0, seed=1), classification("theirs", 1.0, seed=2)
    expected = compare(tmp_path, [a], [b])
    order = np.random.default_rng(3).permutation(80)
    names = {patient: f"other {number}" for number, patient in enumerate(reversed(PATIENTS))}
    mixed = replace(
        b,
        record_ids=tuple(RECORDS[row] for row in order),
        patients=tuple(names[PATIENTS[row]] for row in order),
        labels=b.labels[order],
        scores=b.scores[order],
    )
    assert compare(tmp_path, [a], [mixed]).differences == expected.differences


def test_only_recordings_of_both_count_and_the_others_are_named(tmp_path):
    a = classification("mine", 2.0, seed=1, rows=slice(0, 70))
    b = classification("theirs", 1.0, seed=2, rows=slice(2, 80))
    part = compare(tmp_path, [a], [b])
    shared = slice(2, 70)
    same = compare(tmp_path, [replace_rows(a, shared)], [replace_rows(b, slice(0, 68))])
    assert part.differences == same.differences
    (left,) = part.one_sided
    assert (left.only_a, left.only_b) == (RECORDS[:2], RECORDS[70:])
    assert (only(part).records, only(part).patients) == (68, 34)


def replace_rows(block, rows):
    return replace(
        block,
        record_ids=block.record_ids[rows],
        patients=block.patients[rows],
        labels=block.labels[rows],
        scores=block.scores[rows],
    )


def test_only_classes_that_both_score_count(tmp_path):
    a, b = classification("mine", 2.0, seed=1), classification("theirs", 1.0, seed=2)
    scores = b.scores.copy()
    scores[:, 0] = np.nan
    part = compare(tmp_path, [a], [replace(b, scores=scores)])
    assert [one.name for one in part.classes] == ["SR", "PVC"]
    swapped = replace(b, labels=b.labels[:, ::-1], scores=b.scores[:, ::-1])
    renamed = keep(tmp_path / "swapped.parquet", swapped, classes=CLASSES[::-1])
    assert only(compare(tmp_path, [a], renamed)) == only(compare(tmp_path, [a], [b]))


def test_a_class_without_positives_is_left_out_of_the_mean(tmp_path):
    labels = LABELS.copy()
    labels[:, 0] = False
    a = classification("mine", 2.0, seed=1, labels=labels)
    b = classification("theirs", 1.0, seed=2, labels=labels)
    part = compare(tmp_path, [a], [b])
    assert part.classes[0].difference.value is None
    assert only(part).a == pytest.approx(np.mean([one.a for one in part.classes[1:]]))


def test_rank_1_weighs_persons_alike(tmp_path):
    patients = ["p", "p", "q", "r"]
    a = identification("mine", [1, 2, 1, 5], patients=patients)
    b = identification("theirs", [1, 1, 3, 1], patients=patients)
    part = compare(tmp_path, [a], [b])
    one = only(part, "rank1")
    assert (one.a, one.b) == (pytest.approx(1.5 / 3), pytest.approx(2 / 3))
    assert one.difference.value == pytest.approx(-0.5 / 3)
    assert len(part.differences) == 1  # nothing is known of another date


def test_rank_1_on_another_date_weighs_what_is_left_alike(tmp_path):
    patients, sessions = ["p", "p", "p", "q"], ["cross_session", "same_day", "cross_session", "cross_session"]
    a = identification("mine", [1, 1, 2, 2], patients=patients, sessions=sessions)
    b = identification("theirs", [1, 2, 1, 1], patients=patients, sessions=sessions)
    one = only(compare(tmp_path, [a], [b]), "rank1_cross_session")
    assert (one.a, one.b) == (pytest.approx(0.25), pytest.approx(1.0))


def test_the_mean_is_over_conditions_draw_by_draw(tmp_path):
    conditions = ("clean", "noise-6dB", "rate")
    a = [classification("mine", 2.0, condition=name, seed=1) for name in conditions]
    b = [classification("theirs", 1.0, condition=name, seed=2) for name in conditions]
    part = compare(tmp_path, a, b)
    (mean,) = part.means
    single = [one for one in part.differences if one.metric == "macro_auroc"]
    assert mean.conditions == 3
    assert mean.difference.value == pytest.approx(np.mean([one.difference.value for one in single]))
    widths = [one.difference.high - one.difference.low for one in [mean, *single]]
    assert widths[0] < min(widths[1:])


def test_the_rows_of_a_table_are_corrected_together(tmp_path):
    conditions = ("clean", "noise-6dB", "rate")
    a = [classification("mine", 1.3, condition=name, seed=1) for name in conditions]
    b = [classification("theirs", 1.0, condition=name, seed=2) for name in conditions]
    a.append(classification("mine", 1.3, protocol="knn", seed=3))
    b.append(classification("theirs", 1.0, protocol="knn", seed=4))
    part = compare(tmp_path, a, b)
    table = [one for one in part.differences if (one.protocol, one.metric) == ("probe", "macro_auroc")]
    p = sorted(one.p_value for one in table)
    expected = np.minimum(np.maximum.accumulate([3 * p[0], 2 * p[1], p[2]]), 1.0)
    assert sorted(one.p_holm for one in table) == pytest.approx(list(expected))
    alone = next(one for one in part.differences if (one.protocol, one.metric) == ("knn", "macro_auroc"))
    assert alone.p_holm == pytest.approx(alone.p_value)


def test_a_question_that_is_asked_once_has_one_answer(tmp_path):
    """Its row is corrected with the other answers, not as a table of one row by itself."""
    a = [classification("mine", 1.1, seed=1), identification("mine", [1, 2] * 20, patients=PATIENTS[:40])]
    b = [classification("theirs", 1.0, seed=2), identification("theirs", [2, 1] * 20, patients=PATIENTS[:40])]
    part = compare(tmp_path, a, b)
    rows = {(one.task, one.metric): one for one in part.differences}
    assert len(part.means) == 2
    for mean in part.means:
        row = rows[mean.task, mean.metric]
        assert (row.p_value, row.p_holm, row.verdict) == (mean.p_value, mean.p_holm, mean.verdict)
    assert min(one.p_holm - one.p_value for one in part.means) >= 0.0
    assert max(one.p_holm - one.p_value for one in part.means) > 0.0


def test_what_is_better_is_found_and_what_is_the_same_is_identical(tmp_path):
    a = [classification("mine", 3.0, seed=1), classification("baseline", 1.0, seed=5)]
    b = [classification("theirs", 0.0, seed=2), classification("baseline", 1.0, seed=5)]
    pairs = (MINE, Pair(a="baseline", b="baseline"), Pair(a="absent", b="absent"))
    part = compare(tmp_path, a, b, pairs=pairs)
    verdicts = {(one.pair, one.metric): one.verdict for one in part.differences}
    assert verdicts[MINE, "macro_auroc"] == "A better"
    assert verdicts[pairs[1], "macro_auroc"] == "identical"
    assert {pair for pair, _ in verdicts} == {MINE, pairs[1]}


def test_nothing_is_said_of_what_is_undefined(tmp_path):
    none = np.zeros_like(LABELS)
    part = compare(
        tmp_path,
        [classification("mine", 2.0, seed=1, labels=none)],
        [classification("theirs", 1.0, seed=2, labels=none)],
    )
    one = only(part)
    assert (one.a, one.difference.value, one.p_value, one.verdict) == (None, None, None, "undefined")
    assert part.means == ()


def test_reports_that_cannot_be_paired_are_refused(tmp_path):
    a = classification("mine", 2.0, seed=1)
    b = classification("theirs", 1.0, seed=2)
    with pytest.raises(InputError, match="the reports are of different stores, f1 and f2; evaluate both"):
        compare(tmp_path, [a], keep(tmp_path / "other.parquet", b, stores=("f2",)))
    with pytest.raises(InputError, match="the reports have no recording in common"):
        compare(tmp_path, [replace_rows(a, slice(0, 4))], [replace_rows(b, slice(4, 8))])
    moved = ("person 1", *PATIENTS[1:])
    with pytest.raises(InputError, match="disagree on whose 3 recordings are, such as s/001; evaluate both"):
        compare(tmp_path, [a], [replace(b, patients=moved)])


def test_blocks_that_cannot_be_paired_are_named_and_the_rest_goes_on(tmp_path):
    a = classification("mine", 2.0, seed=1)
    b = classification("theirs", 1.0, seed=2)
    others = {}
    labels = LABELS.copy()
    labels[[3, 7]] = ~labels[[3, 7]]
    others["labels"] = replace(b, labels=labels)
    scores = np.full_like(b.scores, np.nan)
    others["scores"] = replace(b, scores=scores)
    others["records"] = replace_rows(b, slice(40, 80))
    blocks = {
        "labels": a,
        "scores": a,
        "records": replace_rows(a, slice(0, 40)),
    }

    def under(block, condition):
        return replace(block, key=replace(block.key, condition=condition))

    two = [
        [block, *(under(other, name) for name, other in rest.items())]
        for block, rest in ((a, blocks), (b, others))
    ]
    two[0].append(identification("mine", [1, 1], patients=PATIENTS[:2]))
    two[1].append(identification("theirs", [1, 1], patients=PATIENTS[:2], enrolled=30))
    part = compare(tmp_path, *two)
    assert [one.condition for one in part.differences] == ["clean", "clean"]
    reasons = {(one.a.task, one.a.condition): one.reason for one in part.refused}
    assert reasons[("classification", "labels")].startswith(
        "the labels of 2 recordings differ, such as those of s/003;"
    )
    assert reasons[("classification", "scores")].startswith("no class was scored by both;")
    assert reasons[("classification", "records")].startswith("no recording was judged by both;")
    assert reasons[("identification", "clean")].startswith("the galleries are of 40 and 30 persons,")
