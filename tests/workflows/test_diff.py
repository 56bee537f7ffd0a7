import json
import re

import pytest

from anylead.errors import ConfigError, FileError
from anylead.workflows.diff import DiffConfig, diff
from prediction_blocks import PATIENTS, classification, identification, keep


def interval(value):
    return {"value": value, "low": value - 0.02, "high": value + 0.02, "resamples_used": 100}


def report(folder, *blocks, judged="mine", value=0.9, stores=("f1",)):
    folder.mkdir(parents=True)
    results = [
        {"system": judged, "lead_set": "12", "macro_auroc": interval(value), "rank1": None},
        {"system": judged, "lead_set": "12", "subset": "all", "rank1": interval(value - 0.3)},
        {"something": "else"},
    ]
    provenance = {"judged": judged} if judged else {}
    plain = {"results": results if judged else [], "provenance": provenance}
    (folder / "report.json").write_text(json.dumps(plain))
    if blocks:
        keep(folder / "predictions.parquet", *blocks, stores=stores)
    return folder


def blocks(name, skill, seed, *conditions):
    ranks = [1] * 40 if skill > 1 else [1, 2] * 20
    return [
        *(classification(name, skill, condition=condition, seed=seed) for condition in conditions),
        classification("untrained", 0.5, seed=9),
        identification(name, ranks, patients=PATIENTS[:40]),
    ]


@pytest.fixture
def two(tmp_path):
    a = report(tmp_path / "new", *blocks("mine", 3.0, 1, "clean", "noise-6dB"))
    b = report(tmp_path / "old", *blocks("theirs", 0.5, 2, "clean", "noise-6dB"), judged="theirs")
    return a, b


def compare(a, b, **options):
    return diff(DiffConfig(a=a, b=b, resamples=200, **options))


def test_the_answer_comes_first_and_is_written(two, tmp_path):
    comparison = compare(*two, out=tmp_path / "out")
    assert comparison.summary[0] == "A is mine in new; B is theirs in old."
    assert re.fullmatch(
        r"A is better than B in classification by probe: macro AUROC \+0\.\d+ \[\+0\.\d+, \+0\.\d+\] "
        r"\(mean of 2 conditions; p\s=\s0\.\d+\)\.",
        comparison.summary[1],
    )
    assert comparison.summary[2].startswith("A is better than B in identification by cosine: Rank-1 +0.5")
    assert comparison.summary[3].startswith(
        "Paired on what both judged: 40 to 80 recordings of 20 to 40 patients."
    )
    assert comparison.summary[3].endswith("shown where p is below 0.05 and the interval leaves out zero.")
    page = (tmp_path / "out" / "diff.html").read_text()
    assert all(sentence in page for sentence in comparison.summary)
    assert "Systems of the same name in both reports" in page
    plain = json.loads((tmp_path / "out" / "diff.json").read_text())
    assert plain["results"][0]["summary"] == list(comparison.summary)
    assert plain["results"][0]["paired"]["differences"][0]["pair"] == {"a": "mine", "b": "theirs"}


def test_conditions_are_called_what_they_are_in_the_reports(tmp_path):
    a = report(tmp_path / "a", *blocks("mine", 3.0, 1, "clean", "lead-set-2", "lead-set-I"))
    b = report(
        tmp_path / "b", *blocks("theirs", 0.5, 2, "clean", "lead-set-2", "lead-set-I"), judged="theirs"
    )
    compare(a, b, out=tmp_path / "out")
    page = (tmp_path / "out" / "diff.html").read_text()
    for name in ("as recorded", "2 leads", "lead I"):
        assert f'<th scope="row" role="rowheader">{name}</th>' in page
    assert "80 recordings, 40 patients" in page
    assert "lead-set" not in page


def test_the_same_command_gives_the_same_numbers(two):
    assert compare(*two).paired == compare(*two).paired
    assert compare(*two, seed=1).paired != compare(*two).paired


def test_nothing_is_written_without_a_folder(two, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    compare(*two)
    assert sorted(tmp_path.rglob("*")) == before


def test_without_predictions_published_intervals_stand_unpaired(two, tmp_path):
    c = report(tmp_path / "third", judged="other", value=0.8)
    comparison = compare(two[0], c, out=tmp_path / "out")
    assert comparison.paired.differences == ()
    shown = {(one.metric, one.subset): (one.a.value, one.b.value, one.apart) for one in comparison.published}
    assert shown == {
        ("macro_auroc", ""): (0.9, 0.8, True),
        ("rank1", "all"): (pytest.approx(0.6), pytest.approx(0.5), True),
    }
    told = " ".join(comparison.summary)
    assert "is better than" not in told
    assert "Nothing could be paired" in told
    assert f"There is no predictions.parquet in {c}, so nothing is paired." in told
    assert "Not paired: what each report published" in (tmp_path / "out" / "diff.html").read_text()


def test_intervals_that_touch_are_not_apart(two, tmp_path):
    c = report(tmp_path / "third", judged="other", value=0.88)
    assert [one.apart for one in compare(two[0], c).published] == [False, False]


def test_reports_of_different_stores_are_not_paired(two, tmp_path):
    c = report(tmp_path / "third", *blocks("theirs", 0.5, 2, "clean"), judged="theirs", stores=("f2",))
    comparison = compare(two[0], c)
    assert comparison.paired.differences == ()
    told = "Nothing is paired, because the reports are of different stores, f1 and f2; evaluate both on"
    assert any(sentence.startswith(told) for sentence in comparison.summary)


def test_what_only_one_report_has_is_named(two, tmp_path):
    c = report(tmp_path / "third", *blocks("theirs", 0.5, 2, "clean", "rate-100Hz"), judged="theirs")
    comparison = compare(two[0], c)
    assert "Only A has classification / probe / noise-6dB." in comparison.summary
    assert "Only B has classification / probe / rate-100Hz." in comparison.summary
    assert "of 2 conditions" not in " ".join(comparison.summary)


def test_systems_are_matched_by_name_where_a_report_names_none(two, tmp_path):
    c = report(tmp_path / "third", *blocks("mine", 0.5, 2, "clean"), judged=None)
    comparison = compare(two[0], c)
    assert [pair.a for pair in comparison.main] == ["mine", "untrained"]
    assert "A and B are identical in classification by probe, untrained: macro AUROC +0.000" in " ".join(
        comparison.summary
    )
    assert (
        "third does not say which system it is about, so systems are compared by name." in comparison.summary
    )


def test_reports_with_nothing_in_common_say_so(tmp_path):
    a = report(tmp_path / "a", judged=None)
    b = report(tmp_path / "b", judged=None)
    assert "The two have nothing in common that could be compared." in compare(a, b).summary


def test_folders_of_one_name_are_told_apart(two, tmp_path):
    c = report(tmp_path / "other" / "new", *blocks("theirs", 0.5, 2, "clean"), judged="theirs")
    comparison = compare(two[0], c)
    assert (comparison.a.folder, comparison.b.folder) == (str(two[0]), str(c))


def test_too_few_resamples_for_the_family_are_named(two, tmp_path):
    conditions = [f"noise-{level}dB" for level in range(6)]
    a = report(tmp_path / "a", *blocks("mine", 3.0, 1, *conditions))
    b = report(tmp_path / "b", *blocks("theirs", 0.5, 2, *conditions), judged="theirs")
    compare(a, b, out=tmp_path / "out")
    page = (tmp_path / "out" / "diff.html").read_text()
    assert "200 resamples allow no p below 0.01, which 6 rows raise to 0.06: compare again with 240" in page
    diff(DiffConfig(a=a, b=b, out=tmp_path / "out", resamples=240))
    assert "allow no p below" not in (tmp_path / "out" / "diff.html").read_text()


def test_folders_without_a_report_are_refused(two, tmp_path):
    with pytest.raises(FileError, match=r"none.report\.json: the report cannot be read .*; give the folder"):
        compare(two[0], tmp_path / "none")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "report.json").write_text("{}")
    with pytest.raises(FileError, match=r"report\.json: holds no results; give the folder"):
        compare(two[0], tmp_path / "empty")


def test_a_report_is_not_compared_with_itself(two):
    with pytest.raises(ConfigError, match=r"both reports are .*new; give the folders of two"):
        DiffConfig(a=two[0], b=two[0])
    with pytest.raises(ConfigError, match="resamples is 10; give at least 100"):
        DiffConfig(a=two[0], b=two[1], resamples=10)
