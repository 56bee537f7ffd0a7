import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anylead.errors import FileError, InputError
from anylead.evaluation.embedding_table import read_embedding_table


def write(path, /, **columns):
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def table(tmp_path):
    return read_embedding_table(
        write(
            tmp_path / "e.parquet",
            record_id=["s/a", "s/b", "s/a", "s/x"],
            condition=["clean", "clean", "noise", "clean"],
            embedding=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]],
        )
    )


@given(
    values=arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 4)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    fixed=st.booleans(),
    large=st.booleans(),
)
def test_what_was_written_is_read(tmp_path_factory, values, fixed, large):
    path = tmp_path_factory.mktemp("tables") / "e.parquet"
    flat = pa.array(values.reshape(-1))
    if fixed:
        column = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    else:
        ends = np.arange(len(values) + 1) * values.shape[1]
        kind, width = (pa.LargeListArray, np.int64) if large else (pa.ListArray, np.int32)
        column = kind.from_arrays(pa.array(ends.astype(width)), flat)
    names = [f"s/{row}" for row in range(len(values))]
    found = read_embedding_table(write(path, record_id=names, embedding=column))
    assert found.conditions == ("clean",)
    assert found.dimension == values.shape[1]
    np.testing.assert_array_equal(found.array(names[::-1], "clean"), values[::-1])


def test_what_the_table_lacks_is_nan(table):
    found = table.array(["s/b", "s/a", "s/none"], "noise")
    np.testing.assert_array_equal(found, [[np.nan, np.nan], [5.0, 6.0], [np.nan, np.nan]])
    assert np.isnan(table.array(["s/a"], "unheard of")).all()


def test_the_fingerprint_is_of_the_content(table, tmp_path):
    rows = [("s/a", "clean"), ("s/b", "clean"), ("s/a", "noise"), ("s/x", "clean")]
    names, conditions = (list(part) for part in zip(*rows, strict=True))
    same = write(
        tmp_path / "again.parquet",
        record_id=names,
        condition=conditions,
        embedding=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]],
    )
    other = write(
        tmp_path / "other.parquet",
        record_id=names,
        condition=conditions,
        embedding=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 9.0]],
    )
    assert read_embedding_table(same).fingerprint == table.fingerprint
    assert read_embedding_table(other).fingerprint != table.fingerprint


def test_the_file_of_embed_is_read(tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 3)
    path = write(
        tmp_path / "e.parquet",
        record_id=["a", "b"],
        path=["a.hea", "b.hea"],
        leads=[["I"], ["I", "II"]],
        flags=[[], []],
        embedding=vectors,
    )
    found = read_embedding_table(path).of_store(["one/a", "one/b"], ["train", "test"])
    np.testing.assert_array_equal(found.array(["one/b"], "clean"), [[3.0, 4.0, 5.0]])
    assert found.notes == ()


def test_a_record_alone_is_found_where_one_source_has_it(tmp_path):
    path = write(tmp_path / "e.parquet", record_id=["a", "two/b", "b"], embedding=[[1.0], [2.0], [3.0]])
    found = read_embedding_table(path).of_store(["one/a", "one/b", "two/b"], ["test"] * 3)
    np.testing.assert_array_equal(found.array(["one/a", "one/b", "two/b"], "clean"), [[1.0], [np.nan], [2.0]])
    assert found.notes == (
        "1 record ids of the table are not in the store and are left out: b.",
        "Under clean the table has no embedding for 1 of 3 test recordings.",
    )


def test_a_records_own_slashes_stay(tmp_path):
    path = write(
        tmp_path / "e.parquet", record_id=["records100/1", "s/records100/2"], embedding=[[1.0], [2.0]]
    )
    found = read_embedding_table(path).of_store(["s/records100/1", "s/records100/2"], ["test"] * 2)
    np.testing.assert_array_equal(found.array(["s/records100/1", "s/records100/2"], "clean"), [[1.0], [2.0]])


def test_what_does_not_fit_the_store_is_told(table):
    found = table.of_store(
        ["s/a", "s/b", "s/c", "s/d"],
        ["train", "test", "test", "valid"],
        conditions=("clean", "leads-6", "flat"),
    )
    assert found.conditions == ("clean",)
    assert found.notes == (
        "1 record ids of the table are not in the store and are left out: s/x.",
        "1 conditions of the table are unknown and are left out: noise.",
        "The table has no rows for 2 conditions, so what they are for is missing: leads (1), flat (1).",
        "Under clean the table has no embedding for 1 of 2 test, 1 of 1 valid recordings.",
    )


def test_conditions_that_lack_as_many_share_a_sentence(tmp_path):
    path = write(
        tmp_path / "e.parquet",
        record_id=["s/a", "s/a", "s/a", "s/b"],
        condition=["clean", "noise", "flat", "flat"],
        embedding=[[1.0]] * 4,
    )
    found = read_embedding_table(path).of_store(["s/a", "s/b"], ["test", "test"])
    assert found.notes == ("Under clean, noise the table has no embedding for 1 of 2 test recordings.",)


def test_rows_that_are_not_finite_are_left_out_and_named(tmp_path):
    path = write(
        tmp_path / "e.parquet",
        record_id=["a", "b", "c", "d", "e", "f"],
        embedding=pa.array(
            [[1.0], [float("nan")], None, [float("inf")], [None], [1e300]], pa.list_(pa.float64())
        ),
    )
    found = read_embedding_table(path)
    assert found.record_ids == ("a",)
    assert found.notes == (
        "5 of 6 embeddings hold NaN or infinity and are left out: "
        "b (clean), c (clean), d (clean) and 2 more.",
    )


def test_numbers_for_ids_are_names(tmp_path):
    path = write(tmp_path / "e.parquet", record_id=[1, 22], embedding=[[1.0], [2.0]])
    assert read_embedding_table(path).record_ids == ("1", "22")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"record_id": ["a"]}, "no column embedding, only record_id; give"),
        ({"id": ["a"], "vector": [[1.0]]}, "no column record_id and no column embedding"),
        (
            {"record_id": ["a"], "embedding": ["text"]},
            "column embedding holds string; give a list of numbers",
        ),
        ({"record_id": ["a"], "embedding": [["text"]]}, "holds list<.*string>; give a list of numbers"),
        ({"record_id": ["a", None], "embedding": [[1.0], [1.0]]}, "1 rows have no record_id"),
        (
            {"record_id": ["a"], "embedding": [[1.0]], "condition": pa.array([None], pa.string())},
            "1 rows have no condition",
        ),
        (
            {"record_id": ["a", "b", "a"], "embedding": [[1.0]] * 3},
            r"1 recordings have more than one row under a condition, a \(clean\)",
        ),
        (
            {"record_id": ["a", "b"], "embedding": [[1.0, 2.0], [1.0]]},
            "embedding of b has 1 numbers and that of a has 2; give as many",
        ),
        ({"record_id": ["a"], "embedding": [[float("nan")]]}, "none of its 1 embeddings is finite"),
        (
            {"record_id": ["a"], "embedding": pa.array([[]], pa.list_(pa.float32()))},
            "there is no embedding in it",
        ),
        (
            {"record_id": pa.array([], pa.string()), "embedding": pa.array([], pa.list_(pa.float32()))},
            "no embedding",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, columns, message):
    with pytest.raises(FileError, match=message):
        read_embedding_table(write(tmp_path / "e.parquet", **columns))


def test_no_file_and_no_parquet_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"none\.parquet: the embeddings cannot be read"):
        read_embedding_table(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("record_id,embedding")
    with pytest.raises(FileError, match=r"text\.parquet: the embeddings cannot be read"):
        read_embedding_table(tmp_path / "text.parquet")


def test_a_table_of_another_store_is_refused(table):
    with pytest.raises(
        InputError, match="none of its 3 record ids is in the store, which has t/1, t/2; name"
    ):
        table.of_store(["t/1", "t/2"], ["test", "test"])


def test_a_table_of_unknown_conditions_is_refused(table):
    with pytest.raises(
        InputError, match="none of its conditions, clean, noise, is known here; accepted are 12"
    ):
        table.of_store(["s/a"], ["test"], conditions=("12",))


def test_one_recording_under_two_names_is_refused(tmp_path):
    path = write(tmp_path / "e.parquet", record_id=["s/a", "a"], embedding=[[1.0], [2.0]])
    with pytest.raises(InputError, match=r"more than one row under a condition, s/a \(clean\)"):
        read_embedding_table(path).of_store(["s/a"], ["test"])
