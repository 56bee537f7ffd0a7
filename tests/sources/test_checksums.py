"""Files are compared with their published checksums: recordings are quarantined, tables refused."""

import csv

import pytest

from anylead.errors import RecordFileError
from anylead.preparation import Preparation
from anylead.sources.cinc2021 import Cinc2021
from anylead.sources.georgia import Georgia
from anylead.sources.incartdb import Incartdb
from anylead.sources.ptb_xl import PtbXl
from anylead.sources.ptbdb import Ptbdb
from anylead.store import SplitConfig, Store, write_store
from fake_trees import (
    write_challenge_database,
    write_cinc2021,
    write_incartdb,
    write_ptb_xl,
    write_ptbdb,
    write_sums,
)

OPTIONS = {"preparation": Preparation.default(), "split": SplitConfig()}


def spoil(path):
    """Changes one bit of a file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def rejected(store):
    with (store / "rejected.csv").open(newline="") as file:
        return {row["record_id"]: row["reason"] for row in csv.DictReader(file)}


def test_files_as_published_are_prepared(tmp_path):
    root = write_ptb_xl(tmp_path / "data", patients=4, seconds=5)
    write_sums(root)
    assert write_store(PtbXl(), root, tmp_path / "store", **OPTIONS).rejected == 0


@pytest.mark.parametrize("suffix", [".dat", ".hea"])
def test_a_changed_recording_is_left_out_with_its_reason(tmp_path, suffix):
    root = write_incartdb(tmp_path / "data", records=6)
    write_sums(root)
    spoil(root / f"I02{suffix}")
    summary = write_store(Incartdb(), root, tmp_path / "store", **OPTIONS)
    assert (summary.prepared, summary.rejected) == (5, 1)
    assert "its SHA-256 is " in rejected(tmp_path / "store")["I02"]
    assert "download it again" in rejected(tmp_path / "store")["I02"]


def test_a_second_data_file_is_compared_too(tmp_path):
    root = write_ptbdb(tmp_path / "data", sessions=1)
    write_sums(root)
    spoil(root / "patient002" / "s0021_re.xyz")
    write_store(Ptbdb(), root, tmp_path / "store", **OPTIONS)
    assert list(rejected(tmp_path / "store")) == ["patient002/s0021_re"]


def test_a_changed_table_is_refused_and_nothing_is_prepared(tmp_path):
    root = write_ptb_xl(tmp_path / "data", patients=2, seconds=5)
    sums = write_sums(root)
    spoil(root / "ptbxl_database.csv")
    with pytest.raises(RecordFileError, match=r"delete SHA256SUMS\.txt if you changed it on purpose"):
        write_store(PtbXl(), root, tmp_path / "store", **OPTIONS)
    assert not (tmp_path / "store").exists()
    sums.unlink()
    spoil(root / "ptbxl_database.csv")
    assert write_store(PtbXl(), root, tmp_path / "store", **OPTIONS).rejected == 0


def test_a_list_that_is_none_is_refused(tmp_path):
    root = write_incartdb(tmp_path / "data")
    (root / "SHA256SUMS.txt").write_text("<html>not found</html>\n")
    with pytest.raises(RecordFileError, match="line 1 is not a SHA-256 sum and a path"):
        write_store(Incartdb(), root, tmp_path / "store", **OPTIONS)


def test_a_list_in_the_way_of_sha256sum_is_read_and_files_it_lacks_are_prepared(tmp_path):
    root = write_incartdb(tmp_path / "data")
    sums = write_sums(root)
    first, *others = sums.read_text().replace(" ", "  ").splitlines()
    sums.write_text("\n".join([*others[2:], "", f"{first[:64].upper()} *{first[66:]}"]) + "\n")
    assert write_store(Incartdb(), root, tmp_path / "store", **OPTIONS).rejected == 0


def test_where_no_patients_are_published_the_end_says_how_it_was_split(tmp_path):
    root = write_challenge_database(tmp_path / "data", "georgia", records=4)
    told = "prepared 4, rejected 0; the patients are not known, so the splits are by recording"
    assert write_store(Georgia(), root, tmp_path / "store", **OPTIONS).line() == told
    assert write_store(Georgia(), root, tmp_path / "store", **OPTIONS).line() == f"already {told}"
    assert not Store.open(tmp_path / "store").manifest.patients_known


def test_the_challenge_has_one_list_for_all_databases(tmp_path):
    root = write_cinc2021(tmp_path / "data", databases=["georgia", "ptb-xl"])
    write_sums(root)
    spoil(root / "training" / "georgia" / "g1" / "E00002.mat")
    write_store(Cinc2021(), root, tmp_path / "store", **OPTIONS)
    assert list(rejected(tmp_path / "store")) == ["E00002"]
