import numpy as np
import pytest

from anylead.feed import class_targets, identity_targets, person_numbers, training_indices, usable_indices
from anylead.preparation import Preparation
from anylead.store import SplitConfig, Store, write_store
from array_source import ArraySource


def make(out, source, seed=0, **split) -> Store:
    write_store(
        source,
        None,
        out,
        preparation=Preparation(steps=()),
        split=SplitConfig(**{"test_fraction": 0.3, "valid_fraction": 0.2, "seed": seed, **split}),
    )
    return Store.open(out)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """One data set with patients; an overlapping one without: its recordings 0-9 are the other's 0-9."""
    folder = tmp_path_factory.mktemp("stores")
    known = make(folder / "known", ArraySource(records=30, per_patient=3, samples=50))
    unknown = make(
        folder / "unknown", ArraySource(records=20, per_patient=1, samples=50, family="other"), seed=5
    )
    return [known, unknown]


def test_one_store_drops_nothing(stores):
    kept, report = training_indices(stores[:1])
    assert kept == [(0, row) for row in stores[0].split_indices("train").tolist()]
    assert report.total_dropped == 0
    assert report.duplicates == 0


def test_nobody_tested_or_validated_anywhere_is_trained_on(stores):
    kept, report = training_indices(stores)
    # Same seed of noise: recording i of both stores is the same recording.
    assert set(stores[0].column("hash")[:20]) == set(stores[1].column("hash"))
    split = {(s, i): store.column("split")[i] for s, store in enumerate(stores) for i in range(len(store))}
    # The slow way: a person of the known store is tested if any of the three recordings is, in either store.
    protected = {
        row // 3
        for row in range(30)
        for number in ((0, 1) if row < 20 else (0,))
        if split[number, row] != "train"
    }
    assert {row // 3 for _, row in kept}.isdisjoint(protected)
    expected = [(s, i) for (s, i), name in split.items() if name == "train" and i // 3 not in protected]
    assert kept == expected
    train = sum(name == "train" for name in split.values())
    assert report.total_dropped == train - len(expected) > 0
    reasons = {reason for reasons in report.dropped.values() for reason in reasons}
    assert "test recording" in reasons
    assert report.duplicates == sum((1 - s, i) in kept for s, i in kept) // 2
    assert sum(report.kept.values()) == len(kept)
    assert len(report.lines()) == 2
    assert "dropped" in report.lines()[0]


def test_reasons_say_how_a_recording_is_known(tmp_path):
    tested = make(tmp_path / "a", ArraySource(records=4, per_patient=1, samples=50), test_fraction=0.25)
    (row,) = tested.split_indices("test").tolist()

    class Linked(ArraySource):
        """Its recording 0 is the tested one; recording 1 is of the same patient."""

        def noise(self, number):
            return ArraySource(samples=50).noise(row) if number == 0 else super().noise(number)

    def trained(name, source):
        return make(tmp_path / name, source, test_fraction=0.0, valid_fraction=0.0)

    stranger = trained("b", ArraySource(records=3, per_patient=3, samples=50, seed=9, family="b"))
    linked = trained("c", Linked(records=2, per_patient=2, samples=50, seed=8, family="c"))
    same_id = trained("d", ArraySource(records=4, per_patient=1, samples=50, seed=7))
    _, report = training_indices([tested, stranger, linked, same_id])
    assert report.dropped[str(stranger.path)] == {}
    assert report.dropped[str(linked.path)] == {"test recording": 1, "test person": 1}
    assert report.dropped[str(same_id.path)]["test patient"] == 1


def test_validation_is_kept_from_test(stores):
    kept, _ = usable_indices(stores, "valid")
    tested = {
        person
        for store, persons in zip(stores, person_numbers(stores), strict=True)
        for person in persons[store.split_indices("test")].tolist()
    }
    persons = person_numbers(stores)
    assert all(persons[s][i] not in tested for s, i in kept)
    assert all(stores[s].column("split")[i] == "valid" for s, i in kept)


def test_labels_and_identities_of_recordings(stores):
    recordings = [(0, 4), (0, 5), (1, 4), (1, 19)]
    classes = [("426783006",), ("x", "270492004"), ("164889003",)]
    assert class_targets(stores, recordings, classes).tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 1, 1]]
    identities, count = identity_targets(stores, recordings)
    # Recordings 3, 4, 5 of the first store are one person, who is recording 4 of the second too.
    assert identities.tolist() == [0, 0, 0, 1]
    assert count == 2
    assert identities.dtype == np.int64
