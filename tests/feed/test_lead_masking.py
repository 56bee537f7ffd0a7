from dataclasses import replace

import pytest
import torch

from anylead.batch import Batch
from anylead.errors import ConfigError
from anylead.feed import RandomLeadMasking
from anylead.leads import STANDARD_12
from anylead.nn.keyed_random import DrawKey

KEY = DrawKey(seed=1, step=7)


def batch_of(rows: int, present: torch.Tensor | None = None) -> Batch:
    numbers = torch.arange(rows)
    return Batch(
        signal=torch.ones(rows, 12, 4),
        lead_mask=torch.ones(rows, 12, dtype=torch.bool) if present is None else present,
        sample_mask=torch.ones(rows, 4, dtype=torch.bool),
        leads=STANDARD_12,
        sampling_rate_hz=500.0,
        padded=False,
        row=numbers,
        patient=numbers,
        segment=numbers % 2,
    )


def test_half_the_leads_are_hidden_independently():
    mask = RandomLeadMasking(reference=True).apply(batch_of(20_000), KEY).lead_mask.double()
    assert abs(mask.mean() - 0.5) < 0.005
    correlation = torch.corrcoef(mask.T) - torch.eye(12)
    assert correlation.abs().max() < 0.035
    # Independent for the two segments of a pair.
    assert abs(torch.corrcoef(torch.stack([mask[::2, 0], mask[1::2, 0]]))[0, 1]) < 0.04


def test_all_leads_may_be_hidden_only_in_the_reference():
    # 2^-12 of 40,000 rows are 10.
    batch = batch_of(40_000)
    assert (~RandomLeadMasking(reference=True).apply(batch, KEY).lead_mask.any(1)).sum() in range(1, 30)
    assert (~RandomLeadMasking(keep_at_least_one=False).apply(batch, KEY).lead_mask.any(1)).any()
    assert RandomLeadMasking().apply(batch, KEY).lead_mask.any(1).all()


def test_the_lead_that_stays_is_a_present_one_with_equal_chances():
    present = torch.zeros(12_000, 12, dtype=torch.bool)
    present[:, [1, 4, 9]] = True
    mask = RandomLeadMasking(probability=1.0).apply(batch_of(12_000, present), KEY).lead_mask
    assert (mask.sum(1) == 1).all()
    counts = mask.sum(0)
    assert counts[[1, 4, 9]].sum() == 12_000
    assert ((counts[[1, 4, 9]] - 4_000).abs() < 200).all()


def test_absent_leads_stay_absent_even_if_all_are():
    present = torch.zeros(100, 12, dtype=torch.bool)
    present[:50, 2] = True
    mask = RandomLeadMasking().apply(batch_of(100, present), KEY).lead_mask
    assert torch.equal(mask, present)


def test_a_row_s_draws_depend_on_its_number_not_on_its_mates():
    whole = RandomLeadMasking().apply(batch_of(64), KEY).lead_mask
    batch = batch_of(64)
    tail = replace(
        batch,
        **{
            name: getattr(batch, name)[40:]
            for name in ("signal", "lead_mask", "sample_mask", "row", "patient", "segment")
        },
    )
    assert torch.equal(RandomLeadMasking().apply(tail, KEY).lead_mask, whole[40:])
    other = RandomLeadMasking().apply(batch_of(64), DrawKey(seed=1, step=8)).lead_mask
    assert not torch.equal(other, whole)


def test_the_signal_and_nothing_but_the_mask_changes():
    batch = batch_of(8)
    masked = RandomLeadMasking().apply(batch, KEY)
    assert masked.signal is batch.signal
    assert masked.row is batch.row


@pytest.mark.parametrize("probability", [-0.1, 1.5])
def test_a_chance_that_is_none_is_refused(probability):
    with pytest.raises(ConfigError, match="give a number from 0 to 1"):
        RandomLeadMasking(probability=probability)
