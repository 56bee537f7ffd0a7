"""HDF5 as CODE-15 % has it. Independent: h5py writes the layout that the corpus' page describes."""

import numpy as np
import pytest

from anylead.errors import ConfigError, RecordFileError
from anylead.formats import read
from anylead.formats.hdf5 import EARLIER_ORDER
from anylead.leads import STANDARD_12
from fake_trees import fake_ecg

h5py = pytest.importorskip("h5py")


def tracing(seconds, seed=0, order=STANDARD_12):
    """Returns one exam as (4096, 12), zeros on both sides, and its signal in the standard order."""
    ecg = fake_ecg(np.random.default_rng(seed), seconds=seconds, fs=400).astype(np.float32)
    ecg[ecg == 0] = 1e-3
    padded = np.zeros((4096, 12), np.float32)
    start = (4096 - ecg.shape[1]) // 2
    padded[start : start + ecg.shape[1]] = ecg[[STANDARD_12.index(lead) for lead in order]].T
    return padded, ecg


def write(path, tracings, exams, **how):
    with h5py.File(path, "w") as file:
        file.create_dataset("tracings", data=np.asarray(tracings), **how)
        file.create_dataset("exam_id", data=np.asarray(exams))
    return path


@pytest.mark.parametrize("how", [{}, {"compression": "gzip", "chunks": (1, 4096, 12)}])
def test_one_exam_of_many_without_its_zeros(tmp_path, how):
    padded, signals = zip(*[tracing(seconds, seed) for seed, seconds in enumerate((10, 7, 10))], strict=True)
    path = write(tmp_path / "exams_part0.hdf5", padded, [11, 22, 33], **how)
    record = read(f"{path}::22")
    assert (record.record_id, record.leads, record.sampling_rate_hz) == ("22", STANDARD_12, 400.0)
    assert (record.samples, record.flags) == (2800, ())
    np.testing.assert_array_equal(record.signal, signals[1])


def test_a_file_of_one_exam_needs_no_name(tmp_path):
    padded, signal = tracing(10)
    np.testing.assert_array_equal(read(write(tmp_path / "one.h5", [padded], [5])).signal, signal)


def test_the_signal_tells_the_earlier_order_of_the_leads(tmp_path):
    padded, signal = tracing(10, order=EARLIER_ORDER)
    record = read(write(tmp_path / "one.h5", [padded], [5]))
    assert (record.leads, record.flags) == (STANDARD_12, ("lead_order:aVL,aVF,aVR",))
    np.testing.assert_array_equal(record.signal, signal)


def test_a_signal_that_fits_neither_order_is_read_as_the_page_of_the_corpus_says(tmp_path):
    padded, signal = tracing(10)
    record = read(write(tmp_path / "one.h5", [np.where(padded, padded + 1, 0)], [5]))
    assert record.flags == ()
    np.testing.assert_allclose(record.signal, signal + 1, atol=1e-6)


class TestRefused:
    @pytest.fixture
    def path(self, tmp_path):
        return write(tmp_path / "two.hdf5", [tracing(7)[0], np.zeros((4096, 12))], [1, 2])

    def test_many_exams_and_no_name(self, path):
        with pytest.raises(
            RecordFileError, match=r"the file holds 2 exams \(1, 2, ...\); name one, as in .*::1"
        ):
            read(path)

    def test_an_exam_that_is_not_there(self, path):
        with pytest.raises(RecordFileError, match=r"exam 7 is there 0 times; give one that is there once"):
            read(f"{path}::7")

    def test_an_exam_of_zeros(self, path):
        with pytest.raises(RecordFileError, match=r"exam 2 is all zeros; leave it out"):
            read(f"{path}::2")

    def test_another_layout(self, tmp_path):
        with h5py.File(tmp_path / "r.hdf5", "w") as file:
            file.create_dataset("ecg", data=np.zeros((12, 100)))
        with pytest.raises(RecordFileError, match=r"the file holds 'ecg'; the layout of CODE-15 % is read"):
            read(tmp_path / "r.hdf5")

    def test_ids_that_do_not_match(self, tmp_path):
        path = write(tmp_path / "r.hdf5", np.ones((2, 100, 12)), [1, 2, 3])
        with pytest.raises(RecordFileError, match=r"exam_id has shape \(3,\) and tracings \(2, 100, 12\)"):
            read(path)

    def test_an_announcement_that_fits_no_memory(self, tmp_path):
        with h5py.File(tmp_path / "r.hdf5", "w") as file:
            file.create_dataset("tracings", (1, 10**12, 12), "f4", chunks=(1, 4096, 12))
            file.create_dataset("exam_id", data=[1])
        with pytest.raises(RecordFileError, match=r"the file announces 12000000000000 values; up to"):
            read(tmp_path / "r.hdf5")

    def test_a_dataset_in_another_file(self, tmp_path, path):
        with h5py.File(tmp_path / "r.hdf5", "w") as file:
            file["tracings"] = h5py.ExternalLink(str(path), "tracings")
            file["exam_id"] = h5py.ExternalLink(str(path), "exam_id")
        with pytest.raises(RecordFileError, match=r"/exam_id lies in another file; copy it into this one"):
            read(tmp_path / "r.hdf5")

    def test_cut_off(self, path):
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(RecordFileError, match=r"h5py cannot decode the file \(OSError"):
            read(path)

    def test_a_package_that_is_not_installed(self, path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "h5py", None)
        with pytest.raises(
            ConfigError, match=r"HDF5 is read with h5py, which is not installed; install anylead"
        ):
            read(path)
