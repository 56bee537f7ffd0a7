"""Channels become rows of one array."""

from pathlib import Path

import numpy as np
import pytest

from anylead.errors import RecordFileError
from anylead.formats.channels import Channel, stack

PATH = Path("a.scp")


def test_channels_stand_where_they_start_and_the_rest_is_missing():
    signal = stack(
        PATH,
        [Channel(name="I", millivolts=np.arange(3.0)), Channel(name="II", millivolts=np.ones(2), start=2)],
    )
    nan = np.nan
    np.testing.assert_array_equal(signal, [[0, 1, 2, nan], [nan, nan, 1, 1]])


def test_no_sample_is_refused():
    with pytest.raises(RecordFileError, match=r"holds no sample of any lead"):
        stack(PATH, [Channel(name="I", millivolts=np.empty(0))])


def test_channels_far_apart_are_refused_before_they_are_allocated():
    channels = [
        Channel(name="I", millivolts=np.ones(2)),
        Channel(name="II", millivolts=np.ones(2), start=10**12),
    ]
    with pytest.raises(RecordFileError, match=r"the leads span 1000000000002 samples and hold 4 in all"):
        stack(PATH, channels)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_an_infinite_sample_is_refused(value):
    with pytest.raises(RecordFileError, match=r"a sample is infinite once scaled"):
        stack(PATH, [Channel(name="I", millivolts=np.array([0.0, value]))])
