from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery.signals import pack_signal, unpack_signal


def test_a_recording_comes_back_within_half_a_microvolt(record):
    signal = record.signal.copy()
    signal[3, 100:200] = np.nan
    given = replace(
        record,
        signal=signal,
        patient_id="p",
        recorded_at=datetime(2020, 1, 2, 3, 4, 5),
        age_years=50.0,
        sex="F",
        flags=("flat:V3",),
    )
    packed = pack_signal(given)
    back = unpack_signal(packed)
    np.testing.assert_allclose(back.signal, given.signal, atol=0.00051, equal_nan=True)
    for name in (
        "leads",
        "sampling_rate_hz",
        "record_id",
        "patient_id",
        "recorded_at",
        "age_years",
        "sex",
        "flags",
    ):
        assert getattr(back, name) == getattr(given, name)
    assert len(packed) < signal.size * 2


@pytest.mark.parametrize("place", [0, 5, 9, 40, -1])
def test_a_flipped_bit_is_noticed(record, place):
    packed = bytearray(pack_signal(record))
    packed[place] ^= 4
    with pytest.raises(GalleryError, match="the kept recording is damaged; restore an export"):
        unpack_signal(bytes(packed))


def test_a_cut_is_noticed(record):
    for length in (0, 5, 100):
        with pytest.raises(GalleryError, match="the kept recording is damaged"):
            unpack_signal(pack_signal(record)[:length])
