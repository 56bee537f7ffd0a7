"""The open corpora whose layout we know from documentation: patients, dates, leads, labels, their warts."""

import sys
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from anylead.errors import ConfigError, RecordFileError
from anylead.leads import STANDARD_12
from anylead.sources.chapman_csv import ChapmanCsv
from anylead.sources.cinc2021 import ARCHIVES, Cinc2021
from anylead.sources.code_15 import Code15
from anylead.sources.ecg_arrhythmia import EcgArrhythmia
from anylead.sources.georgia import Georgia
from anylead.sources.heartprint import Heartprint
from anylead.sources.incartdb import Incartdb
from anylead.sources.mimic_iv_ecg import MimicIvEcg
from anylead.sources.mitdb import Mitdb
from anylead.sources.ningbo_csv import NingboCsv
from anylead.sources.ptb_xl import PtbXl
from anylead.sources.ptbdb import Ptbdb
from anylead.sources.snomed import CODES
from anylead.sources.sph import Sph
from fake_trees import (
    write_challenge_database,
    write_chapman_csv,
    write_cinc2021,
    write_code_15,
    write_ecg_arrhythmia,
    write_heartprint,
    write_incartdb,
    write_mimic_iv_ecg,
    write_mitdb,
    write_ningbo_csv,
    write_ptb_xl,
    write_ptb_xl_plus,
    write_ptbdb,
    write_sph,
)


def by_id(source, root):
    return {ref.record_id: ref for ref in source.scan(root)}


def codes(*abbreviations):
    return tuple(sorted(CODES[abbreviation] for abbreviation in abbreviations))


def assert_einthoven(record, *, atol):
    """The leads a name promises are the ones that are there."""
    lead = dict(zip(record.leads, record.signal, strict=True))
    np.testing.assert_allclose(lead["III"], lead["II"] - lead["I"], atol=atol)
    np.testing.assert_allclose(lead["aVL"], lead["I"] - lead["II"] / 2, atol=atol)
    np.testing.assert_allclose(lead["aVF"], lead["II"] - lead["I"] / 2, atol=atol)


class TestPtbdb:
    def test_sessions_of_a_patient(self, tmp_path):
        refs = by_id(Ptbdb(), write_ptbdb(tmp_path))
        assert list(refs)[:2] == ["patient001/s0011_re", "patient001/s0012_re"]
        first, second = list(refs.values())[:2]
        assert first.patient_id == second.patient_id == "ptbdb:patient001"
        assert (first.recorded_at, second.recorded_at) == (datetime(1990, 10, 1), datetime(1990, 10, 2))
        assert (first.age_years, first.sex) == (None, "M")
        assert (refs["patient002/s0021_re"].age_years, refs["patient002/s0021_re"].sex) == (81.0, "F")

    def test_the_leads_of_frank_come_from_the_second_file(self, tmp_path):
        source = Ptbdb()
        record = source.load(source.scan(write_ptbdb(tmp_path, patients=1))[0])
        assert record.leads == (*STANDARD_12, "vx", "vy", "vz")
        assert record.sampling_rate_hz == 1000.0
        np.testing.assert_allclose(record.signal[12], record.signal[0], atol=1e-6)
        assert_einthoven(record, atol=2e-3)

    def test_a_reason_for_admission_is_a_finding_or_unknown(self, tmp_path):
        source = Ptbdb()
        found = [source.labels(ref) for ref in source.scan(write_ptbdb(tmp_path, patients=4, sessions=1))]
        assert [one.codes for one in found] == [codes("MI"), (), (), ()]
        assert [one.unknown for one in found] == [(), (), ("valvular heart disease",), ()]


class TestIncartdb:
    def test_patients_ages_and_sexes_of_one_comment_line(self, tmp_path):
        refs = by_id(Incartdb(), write_incartdb(tmp_path))
        assert [refs[f"I0{n}"].patient_id for n in (1, 2, 3)] == ["incartdb:1", "incartdb:1", "incartdb:2"]
        assert [(ref.age_years, ref.sex) for ref in refs.values()][1:3] == [(61.0, "F"), (62.0, "M")]

    def test_gains_that_differ_by_recording(self, tmp_path):
        source = Incartdb()
        for ref in source.scan(write_incartdb(tmp_path)):
            assert_einthoven(source.load(ref), atol=1e-2)


class TestMitdb:
    def test_two_records_of_one_man_and_no_extracts(self, tmp_path):
        refs = by_id(Mitdb(), write_mitdb(tmp_path))
        assert list(refs) == ["100", "103", "114", "201", "202"]
        assert refs["201"].patient_id == refs["202"].patient_id
        assert len({ref.patient_id for ref in refs.values()}) == 4
        assert [refs[n].age_years for n in ("100", "103")] == [69.0, None]
        assert (refs["103"].sex, refs["114"].sex) == ("M", "F")

    def test_leads_go_by_name(self, tmp_path):
        source = Mitdb()
        leads = [source.load(ref).leads for ref in source.scan(write_mitdb(tmp_path))]
        assert leads == [("II", "V5"), ("II", "V2"), ("V5", "II"), ("II", "V1"), ("II", "V1")]


class TestMimicIvEcg:
    def test_subjects_and_shifted_dates(self, tmp_path):
        first, second, third, _ = MimicIvEcg().scan(write_mimic_iv_ecg(tmp_path))
        assert first.patient_id == second.patient_id == "mimic-iv:10000032"
        assert third.patient_id == "mimic-iv:10001032"
        assert (second.recorded_at - first.recorded_at).days == 1

    def test_avf_before_avl_changes_nothing(self, tmp_path):
        source = MimicIvEcg()
        record = source.load(source.scan(write_mimic_iv_ecg(tmp_path))[0])
        assert record.leads.index("aVF") < record.leads.index("aVL")
        assert np.isnan(record.signal[0]).sum() == 1
        assert_einthoven(replace(record, signal=record.signal[:, 8:]), atol=1e-2)  # from after the gap on

    def test_a_row_that_cannot_be_understood_is_refused(self, tmp_path):
        table = write_mimic_iv_ecg(tmp_path) / "record_list.csv"
        table.write_text(table.read_text().replace("2180-07-24 08:44:00", "later"))
        with pytest.raises(RecordFileError, match=r"record_list\.csv: line 3 cannot be understood"):
            MimicIvEcg().scan(tmp_path)


class TestCode15:
    def test_patients_ages_and_sexes(self, tmp_path):
        refs = by_id(Code15(), write_code_15(tmp_path))
        assert list(refs) == ["1000", "1002", "1004", "1001", "1003", "1005"]
        assert refs["1000"].patient_id == refs["1001"].patient_id == "code:500"
        assert (refs["1001"].age_years, refs["1001"].sex, refs["1002"].sex) == (31.0, "F", "M")

    def test_the_zeros_around_a_recording_are_cut_off(self, tmp_path):
        source = Code15()
        refs = by_id(source, write_code_15(tmp_path))
        assert [round(source.load(refs[n]).duration_s) for n in ("1000", "1001", "1002")] == [10, 10, 7]

    def test_rows_are_found_by_exam_and_leads_by_name(self, tmp_path):
        import h5py

        source = Code15()
        ref = by_id(source, write_code_15(tmp_path))["1002"]
        record = source.load(ref)
        assert record.leads == STANDARD_12
        assert_einthoven(record, atol=2e-3)
        with h5py.File(ref.path) as file:
            row = list(file["exam_id"]).index(1002)
            assert np.isin(record.signal[1], file["tracings"][row, :, 1]).all()

    def test_a_recording_is_normal_or_has_findings_or_is_unknown(self, tmp_path):
        source = Code15()
        refs = by_id(source, write_code_15(tmp_path))
        found = [source.labels(refs[n]) for n in ("1000", "1001", "1002")]
        assert [one.codes for one in found] == [codes("NSR"), codes("AF", "RBBB"), ()]
        assert found[2].unknown == ("neither normal nor one of the six labelled findings",)

    def test_only_zeros_are_refused(self, tmp_path):
        import h5py

        source = Code15()
        ref = by_id(source, write_code_15(tmp_path))["1000"]
        with h5py.File(ref.path, "a") as file:
            file["tracings"][:] = 0
        with pytest.raises(RecordFileError, match="exam 1000 holds only zeros"):
            source.load(ref)

    def test_an_exam_that_is_not_in_its_file_is_refused(self, tmp_path):
        table = write_code_15(tmp_path) / "exams.csv"
        table.write_text(table.read_text().replace("1000,", "7777,"))
        with pytest.raises(RecordFileError, match="exam 7777 is not in it"):
            Code15().load(by_id(Code15(), tmp_path)["7777"])

    def test_an_exam_without_a_file_is_refused(self, tmp_path):
        table = write_code_15(tmp_path) / "exams.csv"
        table.write_text(table.read_text().replace("exams_part0.hdf5", ""))
        with pytest.raises(RecordFileError, match=r"exams\.csv names no HDF5 file for exam 1000"):
            Code15().load(by_id(Code15(), tmp_path)["1000"])

    def test_without_h5py_its_package_is_named(self, tmp_path, monkeypatch):
        source = Code15()
        ref = source.scan(write_code_15(tmp_path))[0]
        monkeypatch.setitem(sys.modules, "h5py", None)
        with pytest.raises(ConfigError, match=r"needs the package h5py; install anylead\[formats\]"):
            source.load(ref)


class TestSph:
    def test_patients_and_dates(self, tmp_path):
        refs = by_id(Sph(), write_sph(tmp_path))
        assert refs["A00001"].patient_id == refs["A00002"].patient_id == "sph:S00001"
        assert refs["A00001"].recorded_at == datetime(2020, 3, 4)
        assert (refs["A00001"].age_years, refs["A00001"].sex) == (41.0, "F")

    def test_lengths_differ_and_amplitudes_are_millivolts(self, tmp_path):
        source = Sph()
        records = [source.load(ref) for ref in source.scan(write_sph(tmp_path))]
        assert [record.duration_s for record in records] == [14.0, 10.0, 14.0, 10.0]
        assert_einthoven(records[0], atol=5e-3)  # float16

    def test_statements_with_modifiers_become_codes(self, tmp_path):
        source = Sph()
        found = [source.labels(ref) for ref in source.scan(write_sph(tmp_path))]
        assert [one.codes for one in found] == [
            codes("NSR"), codes("PVC", "SB"), codes("STC", "TAb"), codes("SA"),
        ]  # fmt: skip
        assert found[3].unknown == ("AHA 152",)

    def test_an_array_of_another_shape_is_refused(self, tmp_path):
        import h5py

        source = Sph()
        ref = source.scan(write_sph(tmp_path))[0]
        with h5py.File(ref.path, "w") as file:
            file["ecg"] = np.zeros((5000, 12), dtype=np.float16)
        with pytest.raises(RecordFileError, match=r"has shape \(5000, 12\); one of 12 leads by samples"):
            source.load(ref)

    def test_a_file_without_the_array_is_refused(self, tmp_path):
        import h5py

        source = Sph()
        ref = source.scan(write_sph(tmp_path))[0]
        h5py.File(ref.path, "w").close()
        with pytest.raises(RecordFileError, match="the HDF5 file cannot be read"):
            source.load(ref)


class TestChapmanCsv:
    def test_ages_sexes_and_a_person_for_every_recording(self, tmp_path):
        refs = ChapmanCsv().scan(write_chapman_csv(tmp_path))
        assert (refs[0].age_years, refs[0].sex, refs[1].sex) == (85.0, "M", "F")
        assert refs[0].recorded_at is None
        assert len({ref.patient_id for ref in refs}) == len(refs) == 4

    def test_the_denoised_copy_has_its_leads_though_it_names_none(self, tmp_path):
        root = write_chapman_csv(tmp_path)
        raw, denoised = ChapmanCsv(), ChapmanCsv(denoised=True)
        one, other = raw.load(raw.scan(root)[0]), denoised.load(denoised.scan(root)[0])
        assert one.leads == other.leads == STANDARD_12
        np.testing.assert_array_equal(one.signal, other.signal)
        assert_einthoven(one, atol=2e-3)

    def test_af_is_flutter_and_what_has_no_code_is_unknown(self, tmp_path):
        source = ChapmanCsv()
        found = [source.labels(ref) for ref in source.scan(write_chapman_csv(tmp_path))]
        assert [one.codes for one in found] == [
            codes("AF", "RBBB", "TAb"), codes("SB"), codes("AFL", "STD"), codes("AVNRT"),
        ]  # fmt: skip
        assert found[2].unknown == ("LVHV",)

    def test_a_spreadsheet_alone_is_refused_with_what_to_do(self, tmp_path):
        table = write_chapman_csv(tmp_path) / "Diagnostics.csv"
        table.rename(table.with_suffix(".xlsx"))
        with pytest.raises(RecordFileError, match=r"save its Diagnostics\.xlsx there as Diagnostics\.csv"):
            ChapmanCsv().scan(tmp_path)


class TestNingboCsv:
    def test_leads_go_by_name_and_the_scale_is_flagged(self, tmp_path):
        source = NingboCsv()
        record = source.load(source.scan(write_ningbo_csv(tmp_path))[0])
        assert (record.leads[0], record.sampling_rate_hz, record.duration_s) == ("aVF", 2000.0, 3.0)
        assert "scale_estimated" in record.flags
        assert_einthoven(record, atol=2e-3)

    def test_the_origin_is_unknown_to_our_codes(self, tmp_path):
        source = NingboCsv()
        found = [source.labels(ref) for ref in source.scan(write_ningbo_csv(tmp_path))]
        assert [one.codes for one in found] == [codes("PVC")] * 3
        assert [one.unknown for one in found][:2] == [("origin Right AC",), ("origin Right",)]


class TestHeartprint:
    def test_people_and_dates_of_both_spellings(self, tmp_path):
        refs = by_id(Heartprint(), write_heartprint(tmp_path))
        assert len(refs) == 9
        assert refs["Session-1/001/20120509_0457_01"].recorded_at == datetime(2012, 5, 9, 4, 57)
        assert refs["Session-2/001/23092013_0457_01"].recorded_at == datetime(2013, 9, 23, 4, 57)
        assert refs["Session-2/002/23092013_0457_02"].patient_id == "heartprint:002"

    def test_a_recording_of_two_sessions_is_read_once(self, tmp_path):
        assert (write_heartprint(tmp_path) / "Session-3L").is_dir()
        assert not any(ref.record_id.startswith("Session-3L") for ref in Heartprint().scan(tmp_path))

    def test_the_places_of_r_waves_and_the_zeros_are_no_samples(self, tmp_path):
        source = Heartprint()
        record = source.load(source.scan(write_heartprint(tmp_path))[0])
        assert (record.leads, record.samples, record.sampling_rate_hz) == (("I",), 3747, 250.0)
        assert np.abs(record.signal).max() < 5

    @pytest.mark.parametrize("text", ["1.0\n2.0\n", "1.0\nnone\n" * 4000])
    def test_what_is_no_recording_is_refused(self, tmp_path, text):
        source = Heartprint()
        ref = source.scan(write_heartprint(tmp_path))[0]
        ref.path.write_text(text)
        with pytest.raises(RecordFileError, match=r"the recording cannot be read .*; download it again"):
            source.load(ref)

    def test_another_session_is_refused(self, tmp_path):
        (write_heartprint(tmp_path) / "Session-2").rename(tmp_path / "Session-4")
        with pytest.raises(
            RecordFileError, match="Session-4 is no session of Heartprint, which has Session-1"
        ):
            Heartprint().scan(tmp_path)


class TestPtbXlPlus:
    def test_statements_with_the_stage_of_infarctions(self, tmp_path):
        root, plus = write_ptb_xl(tmp_path / "xl", seconds=1), write_ptb_xl_plus(tmp_path / "plus")
        source = PtbXl(plus=plus)
        assert source.folders(root) == [root, plus]  # another PTB-XL+ is another store
        found = [source.labels(ref) for ref in source.scan(root)]
        assert found[0].codes == codes("NSR")
        assert found[1].codes == codes("MI", "NSR", "OldMI")
        assert found[3].codes == codes("MI", "NSR", "OldMI", "RAD")  # PTB-XL's axis stays

    def test_statements_of_the_program(self, tmp_path):
        root, plus = write_ptb_xl(tmp_path / "xl", seconds=1), write_ptb_xl_plus(tmp_path / "plus")
        source = PtbXl(plus=plus, plus_statements="12sl")
        found = [source.labels(ref) for ref in source.scan(root)]
        assert found[0].codes == codes("NSR")
        assert found[3].codes == codes("IAVB", "MI", "SB")
        assert found[3].unknown == ("12SL AU", "12SL ZZZ")

    def test_another_folder_is_refused(self, tmp_path):
        root = write_ptb_xl(tmp_path / "xl", patients=1, seconds=1)
        with pytest.raises(
            RecordFileError, match=r"labels/ptbxl_statements\.csv with ecg_id and scp_codes_ext"
        ):
            PtbXl(plus=tmp_path).scan(root)

    def test_a_recording_without_statements_is_refused(self, tmp_path):
        root, plus = write_ptb_xl(tmp_path / "xl", seconds=1), write_ptb_xl_plus(tmp_path / "plus", records=3)
        with pytest.raises(RecordFileError, match=r"line 5 cannot be understood \(KeyError: 4\)"):
            PtbXl(plus=plus).scan(root)


class TestChallengeLayouts:
    def test_ecg_arrhythmia_has_the_patients_of_its_copy_in_the_challenge(self, tmp_path):
        refs = by_id(EcgArrhythmia(), write_ecg_arrhythmia(tmp_path / "one"))
        challenge = Cinc2021().scan(
            write_cinc2021(tmp_path / "two", records=1, databases=["chapman_shaoxing"])
        )
        assert refs["JS00001"].patient_id == challenge[0].patient_id == "chapman_shaoxing:JS00001"
        assert refs["JS10646"].patient_id == "chapman_shaoxing:JS10646"
        assert refs["JS10647"].patient_id == "ningbo:JS10647"
        assert EcgArrhythmia().labels(refs["JS00001"]).codes == codes("AF", "RBBB", "TAb")

    def test_groups_or_none_training_or_none(self, tmp_path):
        expected = [
            (ref.record_id, ref.patient_id)
            for ref in Cinc2021().scan(write_cinc2021(tmp_path / "a", databases=["georgia", "ptb"]))
        ]
        for database in ("georgia", "ptb"):
            write_challenge_database(tmp_path / "b" / "training" / database, database, groups=False)
        archives = {name: archive for archive, name in ARCHIVES.items()}
        for database in ("georgia", "ptb"):
            write_challenge_database(tmp_path / "c" / archives[database], database, groups=False)
            write_challenge_database(tmp_path / "d" / database, database)
        for root in ("b", "c", "d"):
            found = [(ref.record_id, ref.patient_id) for ref in Cinc2021().scan(tmp_path / root)]
            assert sorted(found) == sorted(expected), root

    def test_folders_that_are_no_databases_are_refused(self, tmp_path):
        write_challenge_database(tmp_path / "mine", "georgia")
        with pytest.raises(RecordFileError, match=r"there is no training/\*/\*\.hea in it"):
            Cinc2021().scan(tmp_path)

    def test_georgia_alone_has_the_patients_it_has_among_others(self, tmp_path):
        alone = Georgia().scan(write_challenge_database(tmp_path / "alone", "georgia"))
        among = Cinc2021().scan(write_cinc2021(tmp_path / "among", databases=["georgia"]))
        assert [ref.patient_id for ref in alone] == [ref.patient_id for ref in among]
