"""Lead faults against electrodes: potentials are exchanged, leads formed again, and that must come out."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.errors import InputError, LeadError
from anylead.leads import STANDARD_12
from anylead.seeding import generator
from anylead.signal.lead_faults import flat_lead, noisy_lead, swap_leads, swap_limb_leads
from fake_trees import fake_ecg

LIMB = STANDARD_12[:6]
PAIRS = ("LA/RA", "LA/LL", "RA/LL")


def form_leads(potentials: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The definitions of the twelve leads."""
    ra, la, ll = (potentials[name] for name in ("RA", "LA", "LL"))
    limb = {
        "I": la - ra,
        "II": ll - ra,
        "III": ll - la,
        "aVR": ra - (la + ll) / 2,
        "aVL": la - (ra + ll) / 2,
        "aVF": ll - (ra + la) / 2,
    }
    return limb | {f"V{n}": potentials[f"V{n}"] - (ra + la + ll) / 3 for n in range(1, 7)}


@pytest.fixture
def potentials():
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 1, 50) for name in ("RA", "LA", "LL", *STANDARD_12[6:])}


def exchanged(potentials, pair):
    one, other = pair.split("/")
    return potentials | {one: potentials[other], other: potentials[one]}


def stack(leads, names):
    return np.stack([leads[name] for name in names]).astype(np.float32)


@pytest.mark.parametrize("pair", PAIRS)
def test_all_twelve_leads_of_exchanged_electrodes(potentials, pair):
    given_ = stack(form_leads(potentials), STANDARD_12)
    expected = stack(form_leads(exchanged(potentials, pair)), STANDARD_12)
    result = swap_limb_leads(given_, leads=STANDARD_12, electrodes=pair)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert not np.allclose(result[:6], given_[:6], atol=0.1)
    np.testing.assert_array_equal(result[6:], given_[6:])


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("names", [n for size in (2, 3, 4) for n in combinations(LIMB, size)], ids="-".join)
def test_any_two_limb_leads_are_enough(potentials, pair, names):
    names = ("V3", *reversed(names))
    result = swap_limb_leads(stack(form_leads(potentials), names), leads=names, electrodes=pair)
    np.testing.assert_allclose(result, stack(form_leads(exchanged(potentials, pair)), names), atol=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
@given(st.permutations(STANDARD_12), st.integers(0, 100))
def test_twice_exchanged_is_as_before(pair, names, seed):
    signal = np.random.default_rng(seed).normal(0, 1, (12, 5)).astype(np.float32)
    once = swap_limb_leads(signal, leads=names, electrodes=pair)
    np.testing.assert_array_equal(swap_limb_leads(once, leads=names, electrodes=pair), signal)


def test_one_limb_lead_serves_where_it_shows_itself():
    signal = np.arange(4, dtype=np.float32)[None, :]
    np.testing.assert_array_equal(swap_limb_leads(signal, leads=("I",), electrodes="LA/RA"), -signal)
    np.testing.assert_array_equal(swap_limb_leads(signal, leads=("aVL",), electrodes="RA/LL"), signal)


def test_one_limb_lead_does_not_tell_another():
    signal = np.zeros((2, 4), dtype=np.float32)
    with pytest.raises(LeadError, match=r"LA/RA reversal: lead III is needed and .* from II alone"):
        swap_limb_leads(signal, leads=("II", "V1"), electrodes="LA/RA")


def test_chest_leads_alone_show_no_limb_reversal():
    with pytest.raises(LeadError, match="LA/LL reversal: got V1, V2; limb leads are needed"):
        swap_limb_leads(np.zeros((2, 4), dtype=np.float32), leads=("V1", "V2"), electrodes="LA/LL")


def test_missing_samples_go_where_their_lead_goes():
    signal = np.ones((2, 3), dtype=np.float32)
    signal[0, 1] = np.nan
    result = swap_limb_leads(signal, leads=("I", "II"), electrodes="LA/RA")
    np.testing.assert_array_equal(result, [[-1, np.nan, -1], [0, np.nan, 0]])


def test_two_leads_carry_each_others_name():
    signal = np.arange(6, dtype=np.float32).reshape(3, 2)
    result = swap_leads(signal, leads=("V2", "I", "V1"), first="V1", second="V2")
    np.testing.assert_array_equal(result, [[4, 5], [2, 3], [0, 1]])
    assert signal[0, 0] == 0  # the one given is left as it is
    with pytest.raises(LeadError, match="lead V1 is not recorded; there are V2, I"):
        swap_leads(signal[:2], leads=("V2", "I"), first="V1", second="V2")


def test_a_flat_lead_is_zero_and_its_gaps_stay():
    signal = np.full((2, 3), 0.7, dtype=np.float32)
    signal[1, 2] = np.nan
    result = flat_lead(signal, leads=("I", "II"), lead="II")
    np.testing.assert_array_equal(result, np.float32([[0.7, 0.7, 0.7], [0, 0, np.nan]]))


def test_a_noisy_lead_has_its_ratio_and_leaves_the_others_alone():
    signal = fake_ecg(np.random.default_rng(0)).astype(np.float32)
    signal -= signal.mean(axis=1, keepdims=True)
    result = noisy_lead(
        signal, leads=STANDARD_12, lead="V2", rate_hz=500.0, snr_db=-10.0, rng=generator(0, "test")
    )
    np.testing.assert_array_equal(np.delete(result, 7, axis=0), np.delete(signal, 7, axis=0))
    ratio = np.mean(signal[7] ** 2) / np.mean((result[7] - signal[7]) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(-10.0, abs=0.5)  # drift counts here, and there is little


def test_a_lead_without_a_signal_cannot_be_noisy():
    with pytest.raises(InputError, match="no lead has a signal"):
        noisy_lead(
            np.zeros((1, 500), dtype=np.float32),
            leads=("I",), lead="I", rate_hz=500.0, snr_db=0.0, rng=generator(0, "test"),
        )  # fmt: skip
