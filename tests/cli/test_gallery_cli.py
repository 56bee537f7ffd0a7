"""anylead gallery and anylead keys, end to end over a small gallery of invented persons."""

import csv
import json

import pytest
import wfdb

from anylead.cli import main
from anylead.errors import ConfigError, InputError
from anylead.gallery.gallery import Gallery
from anylead.gallery.results import BudgetLine, Case, Interval, Match, Worklist
from anylead.workflows.gallery_files import FileRecords, PatientNames, stores_and_files
from anylead.workflows.gallery_worklist import first_beat_start_s, write_worklist
from gallery_setup import recording_of, tiny_bundle

PERSONS = 4


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A folder of WFDB recordings, PERSON/sN, and a bundle beside it."""
    root = tmp_path_factory.mktemp("tree")
    tiny_bundle().save_pretrained(root / "bundle")
    for person in range(PERSONS):
        folder = root / "ecg" / f"Person_{person:02d}"
        folder.mkdir(parents=True)
        for session in range(2):
            write(folder, f"s{session}", recording_of(person, session))
    return root


def write(folder, name, record):
    wfdb.wrsamp(
        name,
        fs=record.sampling_rate_hz,
        units=["mV"] * len(record.leads),
        sig_name=list(record.leads),
        p_signal=record.signal.T.astype(float),
        fmt=["16"] * len(record.leads),
        write_dir=str(folder),
    )


@pytest.fixture(scope="module")
def gallery(tree):
    url = str(tree / "gallery")
    told = ["--patient-from", "Person_([0-9]+)", "--keep-signals"]
    code = main(
        ["gallery", "enrol", str(tree / "ecg"), "--gallery", url, "--bundle", str(tree / "bundle"), *told]
    )
    assert code == 0
    return url


def call(capsys, *words):
    code = main([str(word) for word in words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_recording_is_identified_and_verified(tree, gallery, capsys):
    probe = tree / "ecg" / "Person_02" / "s1.hea"
    common = ("--gallery", gallery, "--bundle", tree / "bundle")
    code, out, _ = call(capsys, "gallery", "identify", probe, *common)
    assert code == 0
    assert out.splitlines()[1].split()[:2] == ["1", "02"]
    code, out, _ = call(capsys, "gallery", "identify", probe, *common, "--leads", "I", "--top", 2, "--json")
    found = json.loads(out)
    assert (found["lead_set"], len(found["matches"]), found["matches"][0]["patient_id"]) == ("I", 2, "02")
    code, out, _ = call(capsys, "gallery", "verify", probe, "--patient", "02", *common)
    assert code == 0
    assert "Person_02/s0" in out
    code, out, _ = call(capsys, "gallery", "verify", probe, "--patient", "03", *common, "--json")
    assert json.loads(out)["best_other"]["patient_id"] == "02"


def test_enrolling_again_adds_nothing_and_a_bad_file_is_named(tree, gallery, capsys):
    bad = tree / "bad.hea"
    bad.write_text("this is no header")
    again = tree / "ecg" / "Person_00" / "s0.hea"
    told = ("--patient-from", "Person_([0-9]+)")
    code, out, _ = call(
        capsys, "gallery", "enrol", again, bad, "--gallery", gallery, "--bundle", tree / "bundle", *told
    )
    assert code == 1
    assert f"not enrolled: {bad}" in out
    assert "0 recordings enrolled, 1 were there already, 1 failed" in out


def test_a_recording_of_nobody_is_not_enrolled(tree, gallery, capsys):
    code, out, _ = call(
        capsys,
        *("gallery", "enrol", tree / "ecg" / "Person_00" / "s0.hea", "--gallery", gallery),
        *("--bundle", tree / "bundle", "--json"),
    )
    assert code == 1
    assert "not known whose it is" in json.loads(out)["failed"][0][1]


def test_info_says_what_is_there(gallery, capsys):
    code, out, _ = call(capsys, "gallery", "info", "--gallery", gallery, "--json")
    info = json.loads(out)
    assert code == 0
    assert (info["patients"], info["recordings"], info["keep_signals"]) == (PERSONS, 2 * PERSONS, True)
    code, out, _ = call(capsys, "gallery", "info", "--gallery", gallery)
    assert f"patients     {PERSONS}, of whom {PERSONS} have several recordings" in out


def test_screening_writes_a_table_and_a_page(gallery, tmp_path, capsys):
    code, out, _ = call(capsys, "gallery", "screen", "--gallery", gallery, "--out", tmp_path / "list")
    assert code == 0
    assert "cases: " in out
    assert (tmp_path / "list" / "worklist.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "list" / "worklist.csv").read_text().startswith("place,case_id,kind")


def test_a_removed_patient_is_gone(tree, capsys, tmp_path):
    url = tmp_path / "g"
    common = ("--gallery", url, "--bundle", tree / "bundle")
    call(capsys, "gallery", "enrol", tree / "ecg", *common, "--patient-from", "Person_([0-9]+)")
    assert call(capsys, "gallery", "remove", "--patient", "01", "--gallery", url)[:2] == (
        0,
        "2 recordings of patient 01 removed\n",
    )
    code, _, err = call(capsys, "gallery", "remove", "--patient", "01", "--gallery", url)
    assert code == 1
    assert "not enrolled in this gallery; nothing was removed" in err
    code, _, err = call(capsys, "gallery", "remove", "--gallery", url)
    assert code == 2
    assert "either --patient or --before" in err
    code, out, _ = call(capsys, "gallery", "remove", "--before", "2000-01-01", "--gallery", url)
    assert (code, out) == (0, "0 recordings taken before 2000-01-01 removed\n")
    code, _, err = call(capsys, "gallery", "remove", "--before", "long ago", "--gallery", url)
    assert code == 2
    assert "'long ago' is no date" in err


def test_a_gallery_travels_and_changes_its_model(tree, gallery, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ANYLEAD_GALLERY_PASSPHRASE", "a long enough passphrase")
    code, out, _ = call(capsys, "gallery", "export", tmp_path / "file", "--gallery", gallery)
    assert (code, out) == (0, f"{tmp_path / 'file'}: the gallery, encrypted\n")
    code, out, _ = call(capsys, "gallery", "import", tmp_path / "file", "--gallery", tmp_path / "copy")
    assert code == 0
    assert f"{2 * PERSONS} recordings of {PERSONS} patients" in out
    other = tiny_bundle(seed=1)
    other.save_pretrained(tmp_path / "other")
    code, out, _ = call(
        capsys, "gallery", "rebuild", "--gallery", tmp_path / "copy", "--bundle", tmp_path / "other"
    )
    assert code == 0
    assert other.fingerprint() in out
    code, _, err = call(
        capsys,
        *("gallery", "identify", tree / "ecg" / "Person_00" / "s0.hea"),
        *("--gallery", tmp_path / "copy", "--bundle", tree / "bundle"),
    )
    assert code == 1
    assert "vectors of two do not compare" in err


def test_create_calibrate_and_review(tree, gallery, capsys, tmp_path):
    code, out, _ = call(
        capsys,
        *("gallery", "create", "--gallery", tmp_path / "g", "--bundle", tree / "bundle"),
        *("--lead-sets", "12", "I-V1"),
    )
    assert code == 0
    assert "lead sets 12, I-V1" in out
    code, out, _ = call(capsys, "gallery", "calibrate", "--gallery", tmp_path / "g")
    assert code in (0, 1)
    code, _, err = call(
        capsys, "gallery", "review", "x", "--verdict", "maybe", "--reviewer", "me", "--gallery", gallery
    )
    assert code == 2
    assert "got 'maybe'; accepted are accept, reject, unsure" in err


def test_a_folder_full_of_other_files_is_told_in_a_line_a_reason(tree, capsys, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    write(folder, "good", recording_of(1))
    for number in range(30):
        (folder / f"scan{number:02d}.pdf").write_bytes(b"%PDF-1.7 nothing")
    common = ("--gallery", tmp_path / "g", "--bundle", tree / "bundle", "--patient-from", "(mixed)")
    code, out, _ = call(capsys, "gallery", "enrol", folder, *common)
    assert code == 1
    assert len(out.splitlines()) == 2
    assert out.count("scan00.pdf") == 1
    assert "scan04.pdf and 25 more (--json names all): the content is of no known format" in out
    assert out.endswith("1 recordings enrolled, 0 were there already, 30 failed\n")
    code, out, _ = call(capsys, "gallery", "enrol", folder, *common, "--json")
    assert len(json.loads(out)["failed"]) == 30


def test_keys_are_made_listed_and_revoked(gallery, capsys):
    code, key, _ = call(capsys, "keys", "make", "ward-3", "--roles", "read", "enrol", "--gallery", gallery)
    assert code == 0
    assert len(key.split()) == 1
    code, out, _ = call(capsys, "keys", "list", "--gallery", gallery)
    assert out.startswith("ward-3: read, enrol; made ")
    assert key.strip() not in out
    assert call(capsys, "keys", "revoke", "ward-3", "--gallery", gallery)[0] == 0
    assert "revoked" in call(capsys, "keys", "list", "--gallery", gallery)[1]
    code, _, err = call(capsys, "keys", "make", "x", "--roles", "king", "--gallery", gallery)
    assert code == 2
    assert "roles" in err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("gallery", "enroll"), 2, "did you mean enrol"),
        (("keys",), 2, "make"),
        (("gallery", "info", "--gallery", "nowhere"), 1, "nowhere"),
    ],
)
def test_misuse_is_one_sentence(words, code, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    got, _, err = call(capsys, *words)
    assert got == code
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_patients_come_from_path_table_or_file(tmp_path):
    record, path = recording_of(0), tmp_path / "Person_03" / "rec.hea"
    assert PatientNames.of("field").name(record, path).patient_id == "patient-0"
    assert PatientNames.of("Person_([0-9]+)").name(record, path).patient_id == "03"
    assert PatientNames.of("Nobody_([0-9]+)").name(record, path).patient_id is None
    table = tmp_path / "who.csv"
    table.write_text("record_id,patient_id\np0/s0,A\nrec2,B\n")
    assert PatientNames.of(str(table)).name(record, path).patient_id == "A"
    assert PatientNames.of(str(table)).name(record, tmp_path / "rec2.hea").patient_id == "A"


def test_an_unusable_way_to_know_patients_is_refused(tmp_path):
    table = tmp_path / "who.csv"
    table.write_text("name,person\na,b\n")
    for how, message in (
        ("Person_[0-9]+", "has no group that is the patient"),
        ("Person_(", "is no regular expression"),
        (str(table), "lacks the columns record_id and patient_id"),
        (str(tmp_path / "absent.csv"), "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=message):
            PatientNames.of(how)
    with pytest.raises(InputError, match="no recording is named"):
        stores_and_files([])


def test_ids_of_files_tell_their_folder(tree):
    paths = [tree / "ecg" / "Person_01" / "s0.hea", tree / "ecg" / "Person_02" / "s0.hea"]
    records = FileRecords(paths=paths, names=PatientNames.of("field"))
    assert [record.record_id for record in records] == ["Person_01/s0", "Person_02/s0"]


def test_a_worklist_is_escaped_drawn_and_harmless_in_a_spreadsheet(tree, gallery, tmp_path):
    half = Interval(value=0.5, low=0.25, high=0.75)
    match = Match(patient_id="<b>02</b>", record_id="Person_02/s0", similarity=0.9, probability=half)
    case = Case(
        case_id="c1",
        kind="wrong patient",
        record_id="Person_01/s0",
        patient_id="=cmd()",
        lead_set="12",
        probability=half,
        own=Match(patient_id="=cmd()", record_id="Person_01/s1", similarity=0.2, probability=None),
        other=match,
        evidence=("Fits somebody else.",),
        review="unsure",
    )
    line = BudgetLine(
        prevalence=0.001, budget=10, sensitivity=half, false_alerts=half, precision=half, bounded=True
    )
    worklist = Worklist(
        cases=[case], screened=8, not_screened=1, prevalence=0.001, budget_table=[line], notes=("Note.",)
    )
    with Gallery.open(gallery) as opened:
        page = write_worklist(opened, worklist, tmp_path)
        assert 0.0 <= first_beat_start_s(opened.record("Person_01/s0")) <= 5.0
    text = page.read_text()
    assert "&lt;b&gt;02&lt;/b&gt;" in text
    assert "<b>02" not in text
    assert text.count("<svg") == 3
    assert "Fits somebody else." in text
    assert "≤ 0.5 [0.25, 0.75]" in text
    assert "Case 1: Person_01/s0" in text
    with (tmp_path / "worklist.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["patient_id"] == "'=cmd()"
    assert row["own_similarity"] == "0.2"
    assert row["review"] == "unsure"
