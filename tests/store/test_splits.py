import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.errors import ConfigError, StoreError
from anylead.store import SplitConfig, same_person
from anylead.store.splits import assign_splits, require_disjoint


def lists(patients: int, hashes: int):
    pair = st.tuples(st.integers(0, patients), st.integers(0, hashes))
    return st.lists(pair, min_size=1, max_size=60)


@given(lists(20, 40), st.integers(0, 5), st.floats(0, 0.45), st.floats(0, 0.45))
def test_splits_share_nobody_whoever_is_linked_to_whom(recordings, seed, test, valid):
    patients = [f"p{p}" for p, _ in recordings]
    hashes = [f"h{h}" for _, h in recordings]
    config = SplitConfig(test_fraction=test, valid_fraction=valid, seed=seed)
    splits = assign_splits(patients, hashes, [None] * len(patients), config)
    for names in (patients, hashes):
        assert all(len({s for n, s in zip(names, splits, strict=True) if n == name}) == 1 for name in names)
    assert "train" in splits
    persons = same_person(patients, hashes)
    if len(set(persons.tolist())) >= 3:
        assert ("test" in splits) == (test > 0)
        assert ("valid" in splits) == (valid > 0)


@given(lists(15, 25))
def test_persons_are_the_connected_components(recordings):
    patients = [f"p{p}" for p, _ in recordings]
    hashes = [f"h{h}" for _, h in recordings]
    # The slow way: spread the smallest number along shared names until nothing changes.
    slow = list(range(len(recordings)))
    changed = True
    while changed:
        changed = False
        for i in range(len(slow)):
            for j in range(len(slow)):
                if (patients[i] == patients[j] or hashes[i] == hashes[j]) and slow[i] > slow[j]:
                    slow[i], changed = slow[j], True
    fast = same_person(patients, hashes).tolist()
    assert [fast.index(number) for number in fast] == [slow.index(number) for number in slow]
    assert list(dict.fromkeys(fast)) == list(range(len(set(fast))))


def test_shares_are_exact():
    patients = [f"p{i}" for i in range(1000)]
    splits = assign_splits(
        patients, patients, [None] * 1000, SplitConfig(test_fraction=0.3, valid_fraction=0.1, seed=3)
    )
    assert (splits.count("test"), splits.count("valid"), splits.count("train")) == (300, 100, 600)


def test_splits_don_t_depend_on_the_order_and_do_on_the_seed():
    patients = [f"p{i}" for i in range(100)]
    config = SplitConfig(test_fraction=0.3, valid_fraction=0.1)
    forward = dict(zip(patients, assign_splits(patients, patients, [None] * 100, config), strict=True))
    backward = patients[::-1]
    assert forward == dict(
        zip(backward, assign_splits(backward, backward, [None] * 100, config), strict=True)
    )
    other = SplitConfig(test_fraction=0.3, valid_fraction=0.1, seed=1)
    assert list(forward.values()) != assign_splits(patients, patients, [None] * 100, other)


def test_folds_as_recommended_and_the_linked_go_to_the_most_protected():
    patients, hashes = ["a", "b", "c", "d", "e"], ["1", "2", "3", "1", "5"]
    splits = assign_splits(patients, hashes, [3, 9, 10, 10, 1], SplitConfig(use_folds=True))
    assert splits == ["test", "valid", "test", "test", "train"]


def test_folds_that_are_not_there_are_refused():
    with pytest.raises(
        ConfigError, match=r"source x: 1 of 2 recordings have no recommended fold; leave use_folds"
    ):
        assign_splits(["a", "b"], ["1", "2"], [1, None], SplitConfig(use_folds=True), where="source x")


@pytest.mark.parametrize(("test", "valid"), [(0.6, 0.4), (-0.1, 0.2), (float("nan"), 0.1)])
def test_shares_that_leave_nobody_are_refused(test, valid):
    with pytest.raises(ConfigError, match="shares of 0 or more that leave some persons for training"):
        SplitConfig(test_fraction=test, valid_fraction=valid)


@pytest.mark.parametrize(
    ("patients", "hashes", "what"),
    [(["a", "a"], ["1", "2"], "patient a"), (["a", "b"], ["1", "1"], "recording 1")],
)
def test_a_shared_person_is_an_error(patients, hashes, what):
    with pytest.raises(StoreError, match=f"s: {what} is in the train and in the test split"):
        require_disjoint(patients, hashes, ["train", "test"], where="s")


def test_numbers_fit_numpy():
    assert same_person([], []).dtype == np.int64
