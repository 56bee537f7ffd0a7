import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anylead.errors import FileError, InputError
from anylead.evaluation.predictions import BlockKey, ClassificationBlock, IdentificationBlock
from anylead.evaluation.predictions_file import read_predictions, write_predictions

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def classification(system="mine", **changes):
    key = BlockKey(task="classification", protocol="probe", condition="clean", system=system)
    block = ClassificationBlock(
        key=key,
        record_ids=("s/a", "s/b", "s/c"),
        patients=("p1", "p1", None),
        labels=np.array([[True, False], [False, False], [False, True]]),
        scores=np.array([[0.9, 0.1], [0.2, 0.3], [0.4, 0.8]], dtype=np.float32),
    )
    return replace(block, **changes)


def identification(**changes):
    key = BlockKey(task="identification", protocol="cosine", condition="clean", system="mine")
    block = IdentificationBlock(
        key=key,
        record_ids=("s/a", "s/b"),
        patients=("p1", "p1"),
        ranks=np.array([1, 3], dtype=np.int32),
        enrolled=np.array([5, 5], dtype=np.int32),
        own_similarity=np.array([0.9, 0.1], dtype=np.float32),
        best_other_similarity=np.array([0.5, -np.inf], dtype=np.float32),
        sessions=("same_day", "unknown"),
    )
    return replace(block, **changes)


def write(path, *blocks, classes=("AF", "SR"), stores=("f2", "f1")):
    with write_predictions(path, classes=classes, stores=stores, provenance={"seed": 3}) as writer:
        for block in blocks:
            writer.write(block)
    return path


def rewrite(path, *, columns=None, without=(), facts=None):
    """Changes a file as another tool might."""
    table = pq.read_table(path)
    for name, values in (columns or {}).items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    table = table.drop_columns(list(without))
    if facts is not None:
        table = table.replace_schema_metadata({"anylead": json.dumps(facts)})
    pq.write_table(table, path)
    return path


def same(one, other):
    assert one.key == other.key
    for name in one.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_blocks_come_back_with_what_is_known_of_them(tmp_path):
    blocks = [classification(), identification(), classification("other")]
    found = read_predictions(write(tmp_path / "p.parquet", *blocks))
    assert found.keys == tuple(block.key for block in blocks)
    assert (found.classes, found.stores, found.provenance) == (("AF", "SR"), ("f1", "f2"), {"seed": 3})
    for block in blocks:
        same(found.block(block.key), block)
    assert found.patients() == {"s/a": "p1", "s/b": "p1", "s/c": None}


@given(data=st.data(), shape=st.tuples(st.integers(1, 5), st.integers(1, 4)))
def test_any_scores_come_back(tmp_path_factory, data, shape):
    labels = data.draw(arrays(bool, shape))
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    scores = data.draw(arrays(np.float32, shape, elements=numbers))
    scores[:, data.draw(st.integers(0, shape[1] - 1))] = np.nan
    records = data.draw(st.lists(NAMES, min_size=shape[0], max_size=shape[0], unique=True))
    patients = data.draw(st.lists(st.none() | NAMES, min_size=shape[0], max_size=shape[0]))
    block = ClassificationBlock(
        key=BlockKey(task="classification", protocol="knn", condition="leads-I,II", system=records[0]),
        record_ids=tuple(records),
        patients=tuple(patients),
        labels=labels,
        scores=scores,
    )
    path = write(tmp_path_factory.mktemp("p") / "p.parquet", block, classes=[str(k) for k in range(shape[1])])
    same(read_predictions(path).block(block.key), block)


def test_a_file_that_another_tool_wrote_in_one_piece_is_read(tmp_path):
    blocks = [classification(), identification(), classification("other")]
    path = write(tmp_path / "p.parquet", *blocks)
    table = pq.read_table(path)
    order = np.random.default_rng(0).permutation(len(table))
    pq.write_table(table.take(order), path, row_group_size=3)
    found = read_predictions(path)
    assert set(found.keys) == {block.key for block in blocks}
    other = found.block(blocks[2].key)
    by_name = {name: row for row, name in enumerate(other.record_ids)}
    rows = [by_name[name] for name in blocks[2].record_ids]
    np.testing.assert_array_equal(other.scores[rows], blocks[2].scores)
    np.testing.assert_array_equal(other.labels[rows], blocks[2].labels)


def test_a_class_nobody_scores_is_known():
    scores = classification().scores.copy()
    scores[:, 1] = np.nan
    assert classification(scores=scores).scored.tolist() == [True, False]


def test_a_failure_leaves_the_old_file(tmp_path):
    path = write(tmp_path / "p.parquet", classification())
    before = path.read_bytes()
    with pytest.raises(InputError, match="classification / probe / clean / mine: was written before"):
        write(path, classification(), classification())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["p.parquet"]


def test_a_block_of_other_classes_is_refused(tmp_path):
    with pytest.raises(InputError, match="got 2 columns for the 3 classes of the file"):
        write(tmp_path / "p.parquet", classification(), classes=("AF", "SR", "PVC"))


NAN = np.array([[0.9, np.nan], [0.2, 0.3], [0.4, 0.8]], dtype=np.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: classification(patients=("p1",)), "got columns of 1, 3 rows; give one row a recording"),
        (lambda: classification(record_ids=("s/a", "s/b", "s/a")), "s/a is in it twice"),
        (lambda: classification(scores=NAN), "score of class 1 for s/a is nan; give a finite score"),
        (lambda: classification(scores=np.full((3, 2), np.inf, np.float32)), "class 0 for s/a is inf"),
        (lambda: identification(ranks=np.array([1, 6], np.int32)), "s/b has rank 6 of 5 and similarities"),
        (lambda: identification(ranks=np.array([0, 1], np.int32)), "s/a has rank 0 of 5"),
        (
            lambda: identification(own_similarity=np.array([0.1, np.nan], np.float32)),
            "s/b has rank 3 of 5 and similarities nan and -inf; give a rank",
        ),
        (
            lambda: identification(sessions=("same_day", "later")),
            "got the session 'later'; accepted are same_day",
        ),
    ],
)
def test_a_block_that_does_not_fit_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"without": ["scores"]}, "there is no column scores; predictions have task, protocol"),
        ({"facts": {}}, "the metadata says nothing of predictions"),
        ({"facts": {"predictions": 1}}, "the metadata says nothing of predictions"),
        (
            {"facts": {"predictions": 9, "classes": [], "stores": []}},
            "newer format 9, this anylead reads up to 1; update",
        ),
        ({"columns": {"task": ["regression"] * 3}}, "a row has the task 'regression'; every row needs task"),
        ({"columns": {"system": [None] * 3}}, "and no system; every row needs"),
    ],
)
def test_a_file_that_is_not_of_predictions_is_refused(tmp_path, change, message):
    path = rewrite(write(tmp_path / "p.parquet", classification()), **change)
    with pytest.raises(FileError, match=message):
        read_predictions(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"record_id": ["s/a", "s/b", "s/a"]}, "s/a is in it twice"),
        ({"record_id": ["s/a", "s/b", None]}, "1 rows of .* have no record_id"),
        ({"labels": [None, [True, False], [True, False]]}, "1 rows of .* have no labels; give a labels"),
        ({"scores": [[0.1, 0.2], [0.1], [0.1, 0.3]]}, "a row has 1, 2 values of which 0 are missing"),
        ({"scores": [[0.1, None], [0.1, 0.2], [0.1, 0.3]]}, "a row has 2 values of which 1 are missing"),
        ({"scores": NAN.tolist()}, "score of class 1 for s/a is nan"),
    ],
)
def test_a_block_in_a_file_that_cannot_be_used_is_refused(tmp_path, columns, message):
    path = rewrite(write(tmp_path / "p.parquet", classification()), columns=columns)
    with pytest.raises(FileError, match=rf"p\.parquet: .*{message}"):
        read_predictions(path).block(classification().key)


def test_a_recording_of_two_patients_is_refused(tmp_path):
    one = classification()
    path = write(tmp_path / "p.parquet", one, classification("other", patients=("p1", "p2", None)))
    with pytest.raises(FileError, match="s/b is of patient p1 and of p2"):
        read_predictions(path).patients()


def test_no_file_no_parquet_and_no_block_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"none\.parquet: the predictions cannot be read"):
        read_predictions(tmp_path / "none.parquet")
    (tmp_path / "p.parquet").write_text("nothing")
    with pytest.raises(FileError, match=r"p\.parquet: the predictions cannot be read"):
        read_predictions(tmp_path / "p.parquet")
    found = read_predictions(write(tmp_path / "p.parquet", classification()))
    with pytest.raises(
        InputError, match="there is no block identification / cosine / clean / mine; there are 1"
    ):
        found.block(identification().key)
