import numpy as np
import pytest

from anylead.errors import ConfigError
from anylead.feed import training_indices
from anylead.preparation import Preparation
from anylead.sources import SOURCES
from anylead.store import SplitConfig, Store
from anylead.workflows.prepare import PrepareConfig, prepare
from array_source import ArraySource


def test_a_source_becomes_a_store_with_the_usual_steps(tmp_path):
    config = PrepareConfig(source=ArraySource(rate_hz=250.0), path=tmp_path, out=tmp_path / "s")
    assert prepare(config).line() == "prepared 12, rejected 0"
    store = Store.open(tmp_path / "s")
    assert Preparation.from_plain(store.manifest.preparation) == Preparation.default()
    assert store.sampling_rate_hz == 500.0
    assert prepare(config).already


def test_the_synthetic_source_needs_no_folder(tmp_path):
    source = SOURCES["synthetic"](patients=3, sessions=2)
    split = SplitConfig(test_fraction=0.3, valid_fraction=0.0)
    summary = prepare(PrepareConfig(source=source, out=tmp_path / "s", split=split))
    assert summary.prepared == 6
    assert Store.open(tmp_path / "s").split_indices("test").size == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": None}, "prepare: the source array needs the folder of the data set; give it as PATH"),
        ({"jobs": 0}, "prepare: jobs is 0; give the number of processes, or -1 for all cores"),
    ],
)
def test_what_cannot_be_prepared_is_refused(tmp_path, change, message):
    arguments = {"source": ArraySource(), "path": tmp_path, "out": tmp_path / "s", **change}
    with pytest.raises(ConfigError, match=message):
        prepare(PrepareConfig(**arguments))
    assert not (tmp_path / "s").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    config = PrepareConfig(source=ArraySource(), path=tmp_path / "none", out=tmp_path / "s")
    with pytest.raises(ConfigError, match=r"none does not exist; give the folder of array"):
        prepare(config)


@pytest.mark.parametrize(
    ("name", "told"),
    [("a.zip", r"array, or of one in a zip its address zip://FOLDER::.*a\.zip\.$"), ("a.hdf5", r"array\.$")],
)
def test_a_file_instead_of_a_folder_is_refused(tmp_path, name, told):
    (tmp_path / name).touch()
    config = PrepareConfig(source=ArraySource(), path=tmp_path / name, out=tmp_path / "s")
    with pytest.raises(ConfigError, match=f"{name} is a file; give the folder of {told}"):
        prepare(config)


@pytest.fixture(scope="module")
def real_stores(real_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("real")
    split = SplitConfig(test_fraction=0.3, valid_fraction=0.1)
    stores = {}
    for name, folder in (("ptb-xl", "ptb-xl"), ("cinc2021", "cinc2021"), ("cinc2020", "cinc2020-cpsc2018")):
        config = PrepareConfig(source=SOURCES[name](), path=real_data / folder, out=out / name, split=split)
        prepare(config)
        stores[name] = Store.open(out / name)
    return stores


@pytest.mark.real
@pytest.mark.slow
def test_a_recording_in_two_data_sets_has_one_hash(real_stores):
    ptbxl, cinc = real_stores["ptb-xl"], real_stores["cinc2021"]
    first_ten = [ptbxl.column("hash")[i] for i in range(10)]
    there = {
        record_id.rsplit("/")[-1]: digest
        for record_id, digest in zip(cinc.column("record_id"), cinc.column("hash"), strict=True)
    }
    assert [there[f"HR{i:05d}"] for i in range(1, 11)] == first_ten
    np.testing.assert_allclose(
        ptbxl.signal(0), cinc.signal(cinc.column("hash").index(first_ten[0])), atol=0.0011
    )


@pytest.mark.real
@pytest.mark.slow
def test_training_on_both_drops_what_the_other_tests(real_stores):
    stores = [real_stores["ptb-xl"], real_stores["cinc2021"], real_stores["cinc2020"]]
    kept, report = training_indices(stores)
    tested = {
        digest
        for store in stores
        for digest, split in zip(store.column("hash"), store.column("split"), strict=True)
        if split != "train"
    }
    assert all(stores[s].column("hash")[i] not in tested for s, i in kept)
    assert report.total_dropped > 0


@pytest.mark.real
@pytest.mark.slow
def test_recordings_that_are_twice_in_ptb_xl_are_counted(real_stores):
    # 137 = 138 and 143 = 144.
    assert real_stores["ptb-xl"].manifest.counts["identical_recordings"] == 2


@pytest.mark.real
@pytest.mark.slow
def test_flat_leads_of_cpsc_2018_are_flagged_and_kept(real_stores):
    store = real_stores["cinc2020"]
    flags = {
        record_id.rsplit("/")[-1]: [flag for flag in found if flag.startswith("flat:")]
        for record_id, found in zip(store.column("record_id"), store.column("flags"), strict=True)
    }
    assert {name: found for name, found in flags.items() if found} == {
        "A0055": ["flat:V6"],
        "A0115": ["flat:V1"],
    }
    assert all(len(leads) == 12 for leads in store.leads)
