import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anylead.signal import fill_gaps, longest_gaps

nan = np.nan


def test_short_gaps_become_straight_lines_and_long_ones_stay():
    signal = np.array([[0, nan, 2, 3, nan, nan, nan, 7]], dtype=np.float32)
    filled = fill_gaps(signal, max_samples=2)
    np.testing.assert_array_equal(filled, [[0, 1, 2, 3, nan, nan, nan, 7]])
    np.testing.assert_array_equal(fill_gaps(signal), [[0, 1, 2, 3, 4, 5, 6, 7]])
    assert np.isnan(signal).sum() == 4  # the one given is left as it is


def test_gaps_at_the_ends_take_the_nearest_value_and_empty_leads_stay_empty():
    signal = np.array([[nan, 1, 2, nan], [nan, nan, nan, nan]], dtype=np.float32)
    np.testing.assert_array_equal(fill_gaps(signal), [[1, 1, 2, 2], [nan] * 4])


@given(arrays(np.float32, (2, 30), elements=st.sampled_from([0.0, 1.0, np.nan])), st.integers(0, 30))
def test_what_stays_is_exactly_the_longer_gaps(signal, limit):
    filled = fill_gaps(signal, max_samples=limit)
    known = ~np.isnan(signal)
    np.testing.assert_array_equal(filled[known], signal[known])
    for lead in range(2):
        # The slow way: the length of the gap around each sample.
        for place in np.flatnonzero(~known[lead]):
            left, right = place, place
            while left > 0 and not known[lead, left - 1]:
                left -= 1
            while right < 29 and not known[lead, right + 1]:
                right += 1
            stays = right - left + 1 > limit or not known[lead].any()
            assert np.isnan(filled[lead, place]) == stays
    gaps = [
        max(map(len, "".join("n" if x else " " for x in np.isnan(lead)).split()), default=0)
        for lead in signal
    ]
    assert longest_gaps(signal).tolist() == gaps
