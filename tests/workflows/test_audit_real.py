"""What is known of the real recordings: 22 sample-identical pairs, and no other two hold the same seconds."""

import pytest

from anylead.preparation import Preparation
from anylead.sources import SOURCES
from anylead.store import SplitConfig, write_store
from anylead.workflows.audit import AuditConfig, audit

pytestmark = pytest.mark.real

FOLDERS = {
    "ptb-xl": "ptb-xl",
    "cinc2021": "cinc2021",
    "cinc2020": "cinc2020-cpsc2018",
    "ludb": "ludb",
    "ecg-id": "ecg-id",
}
KNOWN = {
    *((f"cinc2021/A{n:04d}", f"cinc2020/A{n:04d}") for n in range(1, 11)),
    *((f"ptb-xl/{n}", f"cinc2021/HR{n:05d}") for n in range(1, 11)),
    ("ptb-xl/137", "ptb-xl/138"),
    ("ptb-xl/143", "ptb-xl/144"),
}


@pytest.fixture(scope="module")
def stores(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    for name, path in FOLDERS.items():
        write_store(
            SOURCES[name](),
            real_data / path,
            folder / name,
            preparation=Preparation.default(),
            split=SplitConfig(),
        )
    return tuple(folder / name for name in FOLDERS)


@pytest.fixture(scope="module")
def found(stores):
    return audit(AuditConfig(stores=stores))


def test_the_known_pairs_are_found_and_no_others(found):
    assert {(str(pair.a), str(pair.b)) for pair in found.pairs} == KNOWN
    assert {pair.kind for pair in found.pairs} == {"exact"}
    assert all(min(pair.correlations.values()) > 0.9999 for pair in found.pairs)
    assert all(pair.residual > 0.9999 for pair in found.pairs)


def test_they_are_kept_out_of_training_where_the_other_is_judged(found):
    assert not any(pair.leak for pair in found.pairs)
    assert all(overlap.absent for overlap in found.overlaps)
    # With the default split, some of the pairs stand in two splits of two stores.
    assert found.roles["left out"].recordings > 0


def test_pre_training_on_one_copy_and_testing_on_the_other_is_noticed(stores):
    """PTB-XL judged, the Challenge's collection used for pre-training, as many publications do."""
    result = audit(AuditConfig(stores=stores[:1], pretraining_stores=stores[1:2], near_duplicates=False))
    leaks = [pair for pair in result.pairs if pair.leak]
    assert leaks
    assert all((str(pair.a), str(pair.b)) in KNOWN for pair in leaks)
    assert result.headline.startswith("Leakage: overlap between pre-training and ")
