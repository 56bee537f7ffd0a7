import torch

from anylead.batch import Batch


def make():
    zeros = torch.zeros(2, dtype=torch.int64)
    return Batch(
        signal=torch.arange(2 * 3 * 4.0).view(2, 3, 4),
        lead_mask=torch.tensor([[True, True, False], [True, True, True]]),
        sample_mask=torch.ones(2, 4, dtype=torch.bool),
        leads=("I", "II", "V1"),
        sampling_rate_hz=500.0,
        padded=False,
        row=torch.arange(2),
        patient=zeros,
        segment=zeros,
    )


def test_select_orders_columns_and_marks_absent_ones():
    batch = make()
    chosen = batch.select(("V1", "aVR", "I"))
    assert chosen.leads == ("V1", "aVR", "I")
    assert chosen.lead_mask.tolist() == [[False, False, True], [True, False, True]]
    assert torch.equal(chosen.signal[:, 0], batch.signal[:, 2])
    assert torch.equal(chosen.signal[:, 2], batch.signal[:, 0])
    assert batch.select(batch.leads) is batch


def test_to_moves_every_tensor_and_keeps_the_rest():
    moved = make().to("meta")
    assert moved.signal.device.type == moved.row.device.type == "meta"
    assert moved.leads == ("I", "II", "V1")
    assert moved.target is None
    assert len(moved) == 2
