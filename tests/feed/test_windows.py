import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.errors import InputError
from anylead.feed import windows


@given(st.integers(1, 20_000), st.integers(1, 3_000))
def test_windows_cover_the_recording(samples, length):
    cut = windows(samples, length=length)
    covered = {sample for start, n in cut for sample in range(start, start + n)}
    assert covered == set(range(samples))
    assert {n for _, n in cut} == {min(samples, length)}
    assert sum(cut[-1]) == samples
    starts = [start for start, _ in cut]
    # All but the last follow each other; the last overlaps only if it must.
    assert starts[:-1] == [length * place for place in range(len(cut) - 1)]
    assert len(cut) == -(-samples // length)


@pytest.mark.parametrize(("samples", "length"), [(0, 5), (5, 0)])
def test_nothing_to_cut_is_refused(samples, length):
    with pytest.raises(InputError, match=f"got {samples} samples and a length of {length}; both must be"):
        windows(samples, length=length)
