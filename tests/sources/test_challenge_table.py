"""The Challenge's classes and weights, equal to the organisers' files; the codes of findings."""

import csv

import numpy as np
import pytest

from anylead.sources.challenge import SCORED_CLASSES, SINUS_RHYTHM_INDEX, WEIGHTS, class_targets
from anylead.sources.snomed import ABBREVIATIONS, CODES, NAMES


def index(abbreviation):
    return next(c.index for c in SCORED_CLASSES if abbreviation in c.abbreviation.split("|"))


def letters(text):
    return "".join(character for character in text.lower() if character.isalnum())


def test_there_are_26_classes_of_30_codes():
    codes = [code for scored in SCORED_CLASSES for code in scored.codes]
    assert len(SCORED_CLASSES) == 26
    assert len(codes) == len(set(codes)) == 30
    assert [scored.index for scored in SCORED_CLASSES] == list(range(26))
    assert SCORED_CLASSES[SINUS_RHYTHM_INDEX].codes == ("426783006",)


def test_the_weights_are_symmetric_with_a_unit_diagonal():
    assert WEIGHTS.shape == (26, 26)
    np.testing.assert_array_equal(WEIGHTS, WEIGHTS.T)
    np.testing.assert_array_equal(np.diag(WEIGHTS), 1.0)
    assert WEIGHTS[~np.eye(26, dtype=bool)].max() == 0.5


@pytest.mark.parametrize(
    ("row", "column", "weight"),
    [
        ("AF", "AFL", 0.5),
        ("AF", "NSR", 0.25),
        ("BBB", "LBBB", 0.475),
        ("LQRSV", "PRWP", 0.475),
        ("PAC", "RAD", 0.4875),
        ("PAC", "AF", 0.3375),
        ("NSR", "QAb", 0.15),
        ("TAb", "TInv", 0.5),
    ],
)
def test_weights_typed_by_hand(row, column, weight):
    assert WEIGHTS[index(row), index(column)] == weight


def test_the_weights_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        WEIGHTS[0, 0] = 2.0


def test_targets_know_equivalent_codes_and_ignore_the_rest():
    assert class_targets(["59118001"]).nonzero()[0].tolist() == [5]
    assert class_targets(["713427006", "59118001"]).nonzero()[0].tolist() == [5]
    assert class_targets(["17338001", "426783006", "63593006"]).nonzero()[0].tolist() == [14, 15, 18]
    assert not class_targets(["164884008", "", "nonsense"]).any()
    assert class_targets([]).shape == (26,)


def test_ventricular_ectopics_are_not_a_scored_code():
    assert not class_targets([CODES["VEB"]]).any()
    assert class_targets([CODES["PVC"]]).any()


def test_abbreviations_codes_and_names_are_unique():
    assert len(CODES) == len(NAMES) == len(ABBREVIATIONS) == len(set(NAMES.values()))


@pytest.mark.real
def test_weights_equal_the_organisers(real_data):
    with (real_data / "cinc2021/evaluation/weights.csv").open() as file:
        header, *rows = csv.reader(file)
    assert ["|".join(scored.codes) for scored in SCORED_CLASSES] == header[1:] == [row[0] for row in rows]
    np.testing.assert_array_equal(WEIGHTS, np.array([row[1:] for row in rows], dtype=float))


@pytest.mark.real
def test_codes_and_names_equal_the_organisers(real_data):
    published = {}
    for name in ("dx_mapping_scored.csv", "dx_mapping_unscored.csv"):
        with (real_data / "cinc2021/evaluation" / name).open() as file:
            published |= {row["SNOMEDCTCode"]: row for row in csv.DictReader(file)}
    for code, name in NAMES.items():
        assert published[code]["Abbreviation"] == ABBREVIATIONS[code]
        assert letters(published[code]["Dx"]) == letters(name)
