"""Recordings of invented persons and a very small untrained bundle, for the tests of the gallery."""

from datetime import datetime, timedelta

import numpy as np
import torch

from anylead.bundle import Bundle
from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.leads import STANDARD_12
from anylead.preparation import Preparation
from anylead.record import Record

RATE_HZ = 100.0
CONFIG = ConvTransformerConfig(
    conv_channels=8, dimension=16, layers=1, heads=2, feedforward=16, position_kernel=8, position_groups=2
)


def tiny_bundle(seed: int = 0) -> Bundle:
    torch.manual_seed(seed)
    return Bundle.assemble(ConvTransformer(CONFIG), preparation=Preparation.default()).eval()


def recording_of(
    person: int, session: int = 0, *, leads: tuple[str, ...] = STANDARD_12, seconds: float = 5.0
) -> Record:
    """A person's own waves with a little noise of the session: sessions of one person resemble each other."""
    own = np.random.default_rng(person)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    waves = [
        amplitude * np.sin(2 * np.pi * rate * time + phase)
        for amplitude, rate, phase in zip(
            own.uniform(0.1, 0.6, 12), own.uniform(1.0, 12.0, 12), own.uniform(0.0, 6.0, 12), strict=True
        )
    ]
    noise = np.random.default_rng([person, session, 7]).normal(0.0, 0.02, (12, len(time)))
    signal = (np.stack(waves) + noise).astype(np.float32)
    rows = [STANDARD_12.index(lead) for lead in leads]
    return Record(
        signal=signal[rows],
        leads=leads,
        sampling_rate_hz=RATE_HZ,
        record_id=f"p{person}/s{session}",
        patient_id=f"patient-{person}",
        recorded_at=datetime(2020, 1, 1) + timedelta(days=30 * session),
    )
