"""Leads that follow from others follow; those that do not stay absent."""

import numpy as np
import pytest
import torch

from anylead.leads import FROM_I_AND_II, LEAD_SETS, LIMB_LEADS, STANDARD_12
from anylead.nn.dipole import LEAD_VECTORS, fill_absent_leads


def dipole_ecg(rows=2, samples=50):
    source = torch.randn(rows, 3, samples, generator=torch.Generator().manual_seed(0))
    return torch.einsum("lk,bkn->bln", torch.from_numpy(LEAD_VECTORS).float(), source)


def seen_through(signal, leads):
    present = torch.tensor([name in leads for name in STANDARD_12]).expand(len(signal), -1)
    return torch.where(present.unsqueeze(-1), signal, 0.0), present


@pytest.mark.parametrize("pair", [("I", "II"), ("aVR", "aVF"), ("III", "aVL"), ("I", "aVF")])
def test_limb_leads_follow_from_any_two_of_them_whatever_the_heart_is(pair):
    arms = torch.randn(1, 2, 40, generator=torch.Generator().manual_seed(1))
    limb = {name: a * arms[:, 0] + b * arms[:, 1] for name, (a, b) in FROM_I_AND_II.items()}
    signal = torch.stack([limb.get(name, torch.zeros(1, 40)) for name in STANDARD_12], dim=1)
    filled, present = fill_absent_leads(*seen_through(signal, pair), STANDARD_12)
    assert torch.allclose(filled[:, :6], signal[:, :6], atol=1e-4)
    assert present[0].tolist() == [name in LIMB_LEADS for name in STANDARD_12]
    assert not filled[:, 6:].any(), "limb leads lie in a plane: no chest lead follows"


@pytest.mark.parametrize("leads", [LEAD_SETS["3"], LEAD_SETS["4"], ("V1", "V3", "V6"), LEAD_SETS["8"]])
def test_a_dipole_is_recovered_from_three_directions(leads):
    signal = dipole_ecg()
    filled, present = fill_absent_leads(*seen_through(signal, leads), STANDARD_12)
    assert present.all()
    assert torch.allclose(filled, signal, atol=1e-2 * float(signal.abs().max()))


@pytest.mark.parametrize("leads", [("I",), ("V2",), ("V2", "V5"), ("V1", "I")])
def test_too_few_directions_fill_nothing(leads):
    signal, present = seen_through(dipole_ecg(), leads)
    filled, now = fill_absent_leads(signal, present, STANDARD_12)
    assert torch.equal(filled, signal)
    assert torch.equal(now, present)


def test_present_leads_and_other_leads_stay_as_they_are():
    names = ("V6", "X", "I", "II", "V2")
    signal = torch.randn(3, 5, 20)
    present = torch.tensor([[True] * 5, [False, True, True, True, True], [True, False, True, True, True]])
    signal = torch.where(present.unsqueeze(-1), signal, 0.0)
    filled, now = fill_absent_leads(signal, present, names)
    assert torch.equal(filled[present], signal[present])
    assert now.tolist() == [[True] * 5, [True] * 5, [True, False, True, True, True]]
    assert filled[1, 0].any()
    assert not filled[2, 1].any()


def test_lead_vectors_obey_einthoven():
    of = dict(zip(STANDARD_12, LEAD_VECTORS, strict=True))
    np.testing.assert_allclose(of["III"], of["II"] - of["I"], atol=1e-12)
    np.testing.assert_allclose(of["aVR"] + of["aVL"] + of["aVF"], 0.0, atol=1e-12)
