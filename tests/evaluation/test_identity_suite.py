import json

import numpy as np
import pytest

from anylead.config import to_plain
from anylead.errors import InputError
from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.evaluate import evaluate_identification, paired_difference
from anylead.evaluation.identification import gallery_and_probes
from anylead.evaluation.identity_parts import ANOTHER_DAY, rank_counts
from anylead.evaluation.identity_suite import evaluate_identity_suite, identity_difference

FEATURES = 12
GAPS = np.array([0, 0, 10, 100, 300, 500])


def recordings(persons=40, each=4, *, noise=1.0, seed=0):
    """Recordings of persons, the first at enrolment and the others at gaps that go round."""
    random = np.random.default_rng(seed)
    names = [f"p{number:02d}" for number in range(persons) for _ in range(each)]
    centre = np.repeat(np.random.default_rng(99).normal(size=(persons, FEATURES)), each, axis=0)
    embeddings = centre + noise * random.normal(size=(len(names), FEATURES))
    days = [
        0 if take == 0 else GAPS[(number + take) % 6] for number in range(persons) for take in range(each)
    ]
    dates = np.datetime64("2020-01-01T12:00", "s") + np.array(days).astype("timedelta64[D]")
    return embeddings, names, dates.astype("datetime64[s]")


def judge(embeddings, names, dates=None, *, system="ours", resamples=30, **more):
    draws = patient_draws(names, resamples=resamples, seed=1)
    return evaluate_identity_suite(
        embeddings, names, recorded_at=dates, draws=draws, system=system, lead_set="12", **more
    )


@pytest.fixture(scope="module")
def judged():
    return judge(*recordings())


def test_whole_gallery_agrees_with_the_plain_evaluation(judged):
    embeddings, names, dates = recordings()
    protocol = gallery_and_probes(names, recorded_at=dates)
    draws = patient_draws(names, resamples=30, seed=1)
    for subset in ("all", "same_day", "cross_session"):
        plain = evaluate_identification(
            embeddings, protocol, draws=draws, system="x", lead_set="12", subset=subset
        )
        end = "" if subset == "all" else f", {subset}"
        for metric in ("rank1", "eer"):
            np.testing.assert_array_equal(judged.values[metric + end], plain.values[metric])
        if subset == "all":
            assert to_plain(judged.result.tar) == to_plain(plain.result.tar)
            assert judged.result.impostor_comparisons == plain.result.impostor_comparisons == 120 * 39


def test_curves_begin_and_end_where_they_must(judged):
    result = judged.result
    assert [point.at for point in result.cmc] == [1, 2, 5, 10, 20, 40]
    assert result.cmc[0].rate == result.rank1
    assert result.cmc[3].rate == result.rank10
    assert result.cmc[-1].rate.value == pytest.approx(1.0)
    assert [point.at for point in result.gallery_sizes] == [10, 20, 40]
    assert result.gallery_sizes[-1].rate.value == pytest.approx(result.rank1.value)
    falling = [point.rate.value for point in result.gallery_sizes]
    assert falling == sorted(falling, reverse=True)
    assert sum(count.probes for count in result.ranks) == result.probes == 120
    assert [str(count) for count in result.ranks][:4] == ["1", "2", "3-5", "6-10"]
    assert result.det[0] == (1.0, 0.0)
    assert len(result.det) <= 200


def test_bands_of_places_cover_the_gallery():
    counts = rank_counts(np.array([1, 1, 2, 4, 200, 199]), enrolled=200)
    assert [(str(count), count.probes) for count in counts] == [
        ("1", 2),
        ("2", 1),
        ("3-5", 1),
        ("6-10", 0),
        ("11-20", 0),
        ("21-50", 0),
        ("51-100", 0),
        ("101-200", 2),
    ]
    assert [str(count) for count in rank_counts(np.array([3]), enrolled=3)] == ["1", "2", "3"]


def test_every_gap_has_the_probes_of_its_dates(judged):
    _, _, dates = recordings()
    gaps = {gap.name: gap for gap in judged.result.gaps}
    assert list(gaps) == [
        "same day",
        "1-30 days",
        "31-182 days",
        "183-365 days",
        "over a year",
        ANOTHER_DAY,
    ]
    # 40 persons with three of six gaps each, two of them the same day.
    assert sum(gap.probes for gap in gaps.values()) == 120 + gaps[ANOTHER_DAY].probes
    assert gaps[ANOTHER_DAY].probes == 120 - gaps["same day"].probes
    days = (dates - np.datetime64("2020-01-01T12:00")).astype("timedelta64[D]").astype(int)
    assert gaps["31-182 days"].probes == int((days == 100).sum())
    assert gaps["31-182 days"].rank1.value is not None


def test_a_gap_of_few_persons_is_named_and_not_scored():
    embeddings, names, dates = recordings(persons=12, each=3)
    dates[2] += np.timedelta64(3000, "D")
    gaps = {gap.name: gap for gap in judge(embeddings, names, dates).result.gaps}
    scored = [gap for gap in gaps.values() if gap.rank1]
    unscored = [gap for gap in gaps.values() if gap.reason]
    assert scored
    assert unscored
    assert all(gap.persons >= 10 for gap in scored)
    assert all(f"persons: {gap.persons}; 10 are needed" == gap.reason for gap in unscored)
    assert all(gap.persons < 10 and gap.eer is None for gap in unscored)


def test_more_recordings_enrolled_help_where_noise_is_the_trouble(judged):
    curve = judged.result.enrolment
    assert [point.recordings for point in curve.points] == [1, 2, 3]
    assert (curve.persons, curve.probes) == (40, 40)
    assert curve.points[2].rank1.value > curve.points[0].rank1.value + 0.1
    assert curve.points[2].eer.value < curve.points[0].eer.value


def test_enrolment_by_one_recording_is_the_plain_gallery():
    embeddings, names, _ = recordings(persons=12, each=3)
    result = judge(embeddings, names).result
    # With three recordings each, two are enrolled at most and the third is the probe.
    assert result.enrolment.probes == 12
    last = np.arange(len(names)) % 3 != 1
    alone = judge(embeddings[last], [name for name, use in zip(names, last, strict=True) if use]).result
    assert result.enrolment.points[0].rank1.value == alone.rank1.value
    assert result.enrolment.points[0].eer.value == alone.eer.value


def test_open_set_has_the_halves_and_what_can_be_looked_at(judged):
    found = judged.result.open_set
    assert (found.enrolled, found.others, found.other_probes, found.probes) == (20, 20, 80, 60.0)
    assert found.dir["0.1"].rate is None
    assert found.dir["0.1"].reason == (
        "80 probes of persons who are not enrolled are 8 at this rate; 10 are needed"
    )
    assert found.curve[0][0] == pytest.approx(10 / 80)
    rates = [rate for _, rate in found.curve]
    assert rates == sorted(rates)
    # Accepting everybody leaves Rank-1 in half of the gallery, whose mean over all halves is known.
    half = judge(*recordings(), seed=5).result.open_set.curve[-1][1]
    sizes = {point.at: point.rate.value for point in judged.result.gallery_sizes}
    assert half == pytest.approx(sizes[20], abs=0.05)


def test_open_set_rates_are_given_where_strangers_suffice():
    found = judge(*recordings(persons=60, noise=0.3)).result.open_set
    assert found.dir["0.1"].rate.value > 0.8
    assert found.dir["0.1"].rate.low is not None
    assert found.dir["0.01"].rate is None


def test_without_dates_the_order_given_is_the_order_in_time():
    embeddings, names, dates = recordings()
    undated = judge(embeddings, names)
    assert undated.result.gaps == ()
    assert undated.result.missing == (
        "By time since enrolment: no dates; the order given was taken as the order in time.",
    )
    assert "rank1, cross_session" not in undated.values
    never = judge(embeddings, names, np.full(len(names), "NaT", dtype="datetime64[s]"))
    np.testing.assert_array_equal(never.values["rank1"], undated.values["rank1"])
    dates[7] = np.datetime64("NaT")
    told = judge(embeddings, names, dates).result.missing
    assert told[0].startswith("By time since enrolment: 1 of 120 probes are left out")


def test_small_stores_say_which_parts_they_cannot_make():
    embeddings, names, _ = recordings(persons=9, each=2)
    result = judge(embeddings, names).result
    assert (result.open_set, result.enrolment, result.gallery_sizes) == (None, None, ())
    assert [sentence.split(":")[0] for sentence in result.missing] == [
        "By time since enrolment",
        "Open set",
        "By size of the gallery",
        "By recordings enrolled",
    ]
    assert "9 persons have a later recording; 20 are needed" in result.missing[1]
    assert result.tar["0.01"].rate is None
    assert result.tar["0.01"].reason == "72 impostor comparisons are 0.72 at this rate; 10 are needed"
    assert result.rank1.value is not None


def test_recordings_without_an_embedding_and_duplicates_are_counted():
    embeddings, names, dates = recordings(persons=20, each=3)
    embeddings[4, 0] = np.nan
    embeddings[5, 1] = np.inf
    hashes = [f"h{row}" for row in range(len(names))]
    hashes[1] = hashes[0]
    result = judge(embeddings, names, dates, hashes=hashes).result
    assert (result.not_embedded, result.duplicates_dropped, result.recordings) == (2, 1, 57)


def test_a_constant_encoder_is_never_right():
    _, names, dates = recordings()
    result = judge(np.ones((len(names), 513)), names, dates).result
    assert result.rank1.value == 0.0
    assert result.eer.value == 0.5
    assert result.ranks[-1].probes == result.probes
    assert [rate for _, rate in result.open_set.curve] == [0.0] * 25
    assert [point.rate.value for point in result.gallery_sizes] == pytest.approx([0.0] * 3, abs=1e-12)


def test_differences_are_taken_on_the_same_resamples(judged):
    embeddings, names, dates = recordings()
    other = judge(
        embeddings + np.random.default_rng(5).normal(size=embeddings.shape), names, dates, system="b"
    )
    difference = identity_difference(judged, other, "rank1")
    expected = judged.values["rank1"] - other.values["rank1"]
    assert difference.interval.value == expected[0] > 0.0
    assert difference.interval.low == pytest.approx(np.percentile(expected[1:], 2.5))
    assert (difference.a, difference.b, difference.subset) == ("ours", "b", "all")
    day = identity_difference(judged, other, "eer", subset="cross_session")
    assert (
        day.interval.value == judged.values["eer, cross_session"][0] - other.values["eer, cross_session"][0]
    )
    protocol = gallery_and_probes(names, recorded_at=dates)
    draws = patient_draws(names, resamples=30, seed=1)
    plain = [
        evaluate_identification(part, protocol, draws=draws, system="x", lead_set="12")
        for part in (embeddings, embeddings[:, ::-1] * np.arange(FEATURES))
    ]
    again = judge(embeddings[:, ::-1] * np.arange(FEATURES), names, dates)
    assert identity_difference(judged, again, "eer").interval == paired_difference(*plain, "eer").interval


def test_differences_need_the_same_recordings_and_a_known_metric(judged):
    embeddings, names, dates = recordings()
    embeddings[3] = np.nan
    fewer = judge(embeddings, names, dates, system="b")
    with pytest.raises(InputError, match="ours and b were not judged on the same recordings and draws"):
        identity_difference(judged, fewer, "rank1")
    with pytest.raises(InputError, match=r"no metric 'rank5, same_day' here; there are rank1; rank5; rank10"):
        identity_difference(judged, judged, "rank5", subset="same_day")


def test_the_same_call_gives_the_same_numbers(judged):
    again = judge(*recordings())
    assert again.result == judged.result
    assert again.draws_key == judged.draws_key
    assert judge(*recordings(), seed=8).result.open_set != judged.result.open_set


def test_length_of_embeddings_does_not_matter(judged):
    embeddings, names, dates = recordings()
    scale = np.random.default_rng(3).uniform(0.1, 10.0, size=(len(names), 1))
    assert judge(embeddings * scale, names, dates).result.ranks == judged.result.ranks


def test_result_is_ready_for_json(judged):
    plain = json.loads(json.dumps(to_plain(judged.result), allow_nan=False))
    assert plain["open_set"]["dir"]["0.1"]["rate"] is None
    assert plain["gaps"][0]["name"] == "same day"


def test_refuses_what_has_no_question():
    embeddings, names, _ = recordings(persons=3, each=2)
    with pytest.raises(InputError, match="all 6 recordings are of one person; give recordings of two"):
        judge(embeddings, ["a"] * 6)
    with pytest.raises(InputError, match="none of the 6 persons has two different recordings"):
        judge(embeddings, list("abcdef"))
    with pytest.raises(InputError, match="none of the 2 persons has two different recordings"):
        judge(embeddings[:4], ["a", "a", "b", "b"], hashes=["x", "x", "y", "y"])
    with pytest.raises(InputError, match="none of the 6 embeddings is finite"):
        judge(np.full_like(embeddings, np.nan), names)
    with pytest.raises(InputError, match="got 6 embeddings and 5 persons"):
        judge(embeddings, names[:5])
