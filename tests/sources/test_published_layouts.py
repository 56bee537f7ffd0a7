"""What is particular to each published data set: labels, patients, dates, the warts of its files."""

from datetime import datetime

import numpy as np
import pytest

from anylead.errors import RecordFileError
from anylead.leads import STANDARD_12
from anylead.sources.base import RecordRef
from anylead.sources.challenge import SCORED_CLASSES, class_targets
from anylead.sources.cinc2020 import Cinc2020
from anylead.sources.cinc2021 import Cinc2021
from anylead.sources.ecg_id import EcgId
from anylead.sources.ludb import Ludb
from anylead.sources.ptb_xl import PtbXl
from anylead.sources.snomed import CODES
from anylead.sources.wfdb_tree import natural_key
from fake_trees import (
    CINC2020_FINDINGS,
    STANDARD,
    fake_ecg,
    write_cinc2020,
    write_cinc2021,
    write_ecg_id,
    write_ludb,
    write_ptb_xl,
    write_wfdb,
)


def by_id(source, root):
    return {ref.record_id: ref for ref in source.scan(root)}


def codes(*abbreviations):
    return tuple(sorted(CODES[abbreviation] for abbreviation in abbreviations))


def test_natural_order():
    names = ["b/rec_10", "b/rec_2", "a10/rec_1", "a2/rec_1", "b/rec_2_x", "b/rec_02"]
    assert sorted(names, key=natural_key) == [
        "a2/rec_1",
        "a10/rec_1",
        "b/rec_2",
        "b/rec_2_x",
        "b/rec_02",
        "b/rec_10",
    ]


class TestPtbXl:
    def test_patients_folds_dates_ages_and_sexes(self, tmp_path):
        refs = by_id(PtbXl(), write_ptb_xl(tmp_path))
        assert list(refs) == [str(number) for number in range(1, 13)]
        assert refs["1"].patient_id == refs["7"].patient_id == "ptb-xl:15000"
        assert refs["1"].fold == refs["7"].fold == 1
        assert refs["1"].recorded_at == datetime(1990, 1, 2, 9, 17, 34)
        assert [refs[n].age_years for n in "123"] == [56.0, None, 90.0]
        assert [refs[n].sex for n in "12"] == ["M", "F"]

    def test_both_sampling_rates(self, tmp_path):
        write_ptb_xl(tmp_path, patients=1)
        fast, slow = (PtbXl(sampling_rate_hz=rate) for rate in (500, 100))
        a, b = fast.load(fast.scan(tmp_path)[0]), slow.load(slow.scan(tmp_path)[0])
        assert (a.sampling_rate_hz, b.sampling_rate_hz) == (500.0, 100.0)
        assert a.leads == b.leads == STANDARD_12
        np.testing.assert_array_equal(a.signal[:, ::5], b.signal)

    def test_statements_of_any_likelihood_and_the_axis(self, tmp_path):
        source = PtbXl()
        found = [source.labels(ref) for ref in source.scan(write_ptb_xl(tmp_path))]
        assert found[0].codes == codes("NSR", "LQRSV")
        assert found[1].codes == codes("NSR", "SB")
        assert found[2].codes == codes("MI", "abQRS", "LAD", "NSR")
        assert found[3].codes == codes("AF", "CRBBB", "RAD")
        assert found[4].codes == codes("NSR", "VEB")
        assert found[4].unknown == ("XYZ",)

    @pytest.mark.parametrize("axis", ["AXL", "AXR"])
    def test_borderline_axes_are_unknown(self, tmp_path, axis):
        details = {"scp_codes": "{'PRC(S)': 0.0}", "heart_axis": axis}
        ref = RecordRef(record_id="1", path=tmp_path, patient_id="ptb-xl:1", details=details)
        assert PtbXl().labels(ref).unknown == ("PRC(S)", f"heart_axis:{axis}")

    def test_a_cell_that_is_no_dictionary_is_unknown(self, tmp_path):
        ref = RecordRef(
            record_id="1",
            path=tmp_path,
            patient_id="ptb-xl:1",
            details={"scp_codes": "{'NORM", "heart_axis": ""},
        )
        assert PtbXl().labels(ref).unknown == ("{'NORM",)

    def test_an_absent_sampling_rate_is_refused(self, tmp_path):
        write_ptb_xl(tmp_path, patients=1)
        (tmp_path / "records100").rename(tmp_path / "elsewhere")
        assert len(PtbXl().scan(tmp_path)) == 2
        with pytest.raises(RecordFileError, match="no folder records100; download it or choose the other"):
            PtbXl(sampling_rate_hz=100).scan(tmp_path)

    def test_a_row_that_cannot_be_understood_is_refused(self, tmp_path):
        table = write_ptb_xl(tmp_path, patients=2) / "ptbxl_database.csv"
        table.write_text(table.read_text().replace("15001.0", "nobody"))
        with pytest.raises(RecordFileError, match="line 3 cannot be understood"):
            PtbXl().scan(tmp_path)

    def test_a_table_without_a_column_is_refused(self, tmp_path):
        table = write_ptb_xl(tmp_path, patients=2) / "ptbxl_database.csv"
        table.write_text(table.read_text().replace("strat_fold", "fold"))
        with pytest.raises(RecordFileError, match=r"line 2 cannot be understood \(KeyError: 'strat_fold'\)"):
            PtbXl().scan(tmp_path)


class TestCinc2021:
    def test_databases_and_ids(self, tmp_path):
        refs = by_id(Cinc2021(), write_cinc2021(tmp_path))
        assert len(refs) == 18
        assert refs["HR00001"].patient_id == "ptb-xl:HR00001"
        assert refs["S0002"].patient_id == "ptb:S0002"

    def test_dates_of_conversion_are_not_dates_of_recording(self, tmp_path):
        source = Cinc2021()
        ref = source.scan(write_cinc2021(tmp_path))[0]
        assert ref.recorded_at is None
        assert source.load(ref).recorded_at is None

    def test_units_rates_and_comments_in_every_spelling(self, tmp_path):
        source = Cinc2021()
        refs = by_id(source, write_cinc2021(tmp_path))
        assert source.load(refs["S0001"]).sampling_rate_hz == 1000.0
        assert source.load(refs["A0001"]).sampling_rate_hz == 500.0
        assert source.labels(refs["A0001"]).codes == ("426783006",)  # written #Dx:
        assert source.labels(refs["A0002"]).codes == ("164889003", "59118001")  # written # Dx:
        assert [refs[f"A000{n}"].age_years for n in (1, 2, 3)] == [None, 33.0, 74.0]
        assert [refs[f"A000{n}"].sex for n in (1, 2)] == ["F", "M"]

    def test_a_flat_lead_stays_flat(self, tmp_path):
        source = Cinc2021()
        record = source.load(by_id(source, write_cinc2021(tmp_path))["A0003"])
        assert not record.signal[-1].any()
        assert record.signal[:-1].any(axis=1).all()

    def test_some_databases_only(self, tmp_path):
        write_cinc2021(tmp_path)
        refs = Cinc2021(databases=("georgia", "ptb")).scan(tmp_path)
        assert {ref.patient_id.split(":")[0] for ref in refs} == {"georgia", "ptb"}
        with pytest.raises(
            RecordFileError, match="there is no database ningbo; it has chapman_shaoxing, cpsc_2018"
        ):
            Cinc2021(databases=("ningbo",)).scan(tmp_path)

    def test_what_is_no_code_is_unknown(self, tmp_path):
        source = Cinc2021()
        write_wfdb(
            tmp_path / "training/georgia/g1/E00001", fake_ecg(np.random.default_rng(0)), layout="mat",
            comments=["#Dx: 426783006,RBBB, 39732003"],
        )  # fmt: skip
        found = source.labels(source.scan(tmp_path)[0])
        assert (found.codes, found.unknown) == (("39732003", "426783006"), ("RBBB",))


class TestCinc2020:
    def test_abbreviations_become_codes(self, tmp_path):
        source = Cinc2020()
        found = [source.labels(ref) for ref in source.scan(write_cinc2020(tmp_path))]
        by_finding = dict(zip(CINC2020_FINDINGS, found, strict=True))
        expected = {name: name for name in ("RBBB", "AF", "LBBB", "PAC", "STD", "STE")}
        expected |= {"Normal": "NSR", "I-AVB": "IAVB", "PVC": "VEB"}
        assert {finding: by_finding[finding].codes for finding in expected} == {
            finding: codes(abbreviation) for finding, abbreviation in expected.items()
        }
        assert by_finding["RBBB,PVC"].codes == codes("RBBB", "VEB")
        assert by_finding["Other"].codes == ()
        assert by_finding["Other"].unknown == ("Other",)

    def test_its_pvc_is_not_scored(self, tmp_path):
        source = Cinc2020()
        refs = source.scan(write_cinc2020(tmp_path))
        scored = [class_targets(source.labels(ref).codes).any() for ref in refs]
        assert scored == [True] * 6 + [False] * 3 + [True, False]

    def test_lengths_differ(self, tmp_path):
        source = Cinc2020()
        refs = source.scan(write_cinc2020(tmp_path, records=3))
        assert [source.load(ref).duration_s for ref in refs] == [15.0, 60.0, 10.0]

    def test_a_recording_has_the_patient_of_its_copy_in_2021(self, tmp_path):
        early = Cinc2020().scan(write_cinc2020(tmp_path / "early", records=2))
        late = Cinc2021().scan(write_cinc2021(tmp_path / "late", records=2, databases=["cpsc_2018"]))
        assert [ref.patient_id for ref in early] == [ref.patient_id for ref in late]


class TestLudb:
    def test_cells_with_line_breaks(self, tmp_path):
        source = Ludb()
        refs = by_id(source, write_ludb(tmp_path))
        assert list(refs) == ["1", "2", "3", "4"]
        assert [refs[n].sex for n in "12"] == ["M", "F"]
        assert [refs[n].age_years for n in "12"] == [51.0, 90.0]
        found = [source.labels(ref) for ref in refs.values()]
        assert found[0].codes == codes("SB", "LAD", "LVH")
        assert found[0].unknown == ("left ventricular overload",)
        assert (found[1].codes, found[1].unknown) == (codes("NSR"), ())
        assert found[2].codes == codes("AF", "PR", "VPP", "IAVB")
        assert found[2].unknown == ("pacemaker presence, undefined",)
        assert found[3].codes == codes("NSR", "PAC")

    def test_stored_integers_are_microvolts_and_obey_einthoven(self, tmp_path):
        source = Ludb()
        ref = source.scan(write_ludb(tmp_path))[0]
        record = source.load(ref)
        assert record.leads == STANDARD_12
        first, second, third = record.signal[:3]
        np.testing.assert_allclose(second, first + third, atol=2e-6)
        stored = np.fromfile(ref.path.with_suffix(".dat"), "<i2").reshape(-1, 12).T
        np.testing.assert_allclose(record.signal * 1000, stored, rtol=1e-5)

    def test_a_table_without_ids_is_refused(self, tmp_path):
        table = write_ludb(tmp_path) / "ludb.csv"
        table.write_text(table.read_text().replace("ID,", "No,", 1))
        with pytest.raises(RecordFileError, match=r"ludb\.csv: there is no row with an ID"):
            Ludb().scan(tmp_path)


class TestEcgId:
    def test_persons_and_dates(self, tmp_path):
        refs = EcgId().scan(write_ecg_id(tmp_path, persons=2, records=11))
        assert [ref.record_id for ref in refs[:3]] == [f"Person_01/rec_{n}" for n in (1, 2, 3)]
        assert refs[10].record_id == "Person_01/rec_11"
        assert {ref.patient_id for ref in refs} == {"ecg-id:Person_01", "ecg-id:Person_02"}
        assert refs[0].recorded_at == datetime(2004, 12, 7)
        assert refs[10].recorded_at == datetime(2005, 6, 1)
        assert (refs[0].age_years, refs[0].sex, refs[11].sex) == (21.0, "M", "F")

    def test_the_raw_channel_is_lead_one_and_spikes_are_kept(self, tmp_path):
        source = EcgId()
        record = source.load(source.scan(write_ecg_id(tmp_path))[0])
        assert record.leads == ("I",)
        assert record.signal.max() == record.signal[0, 100] == 12.0


def test_every_scored_class_of_ptb_xl_can_be_reached():
    """The Challenge found 19 of its 26 classes in PTB-XL."""
    from anylead.sources.ptb_xl import _LABELS

    reached = class_targets(code for to in _LABELS.values() for code in to)
    missing = {scored.abbreviation for scored in SCORED_CLASSES if not reached[scored.index]}
    assert missing == {"BBB", "Brady", "PRWP", "PVC|VPB"}


def test_fake_leads_are_the_standard_ones():
    assert STANDARD == STANDARD_12
