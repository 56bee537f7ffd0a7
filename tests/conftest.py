"""Fixtures every test may use."""

import os
import sys
from pathlib import Path

# Before torch is first imported: the tests run side by side and must not fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from hypothesis import settings

from anylead.leads import STANDARD_12
from anylead.record import Record

settings.register_profile("anylead", deadline=None, max_examples=25)
settings.load_profile("anylead")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tests that import torch before or after this run it on one thread."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; tests that need it are marked ``real``."""
    folder = os.environ.get("ANYLEAD_REAL_DATA")
    if not folder:
        pytest.skip("ANYLEAD_REAL_DATA is not set; it names the folder of real recordings")
    path = Path(folder)
    if not path.is_dir():
        pytest.skip(f"ANYLEAD_REAL_DATA names {folder}, which is not a folder")
    return path


@pytest.fixture
def record() -> Record:
    """Ten seconds of twelve leads at 500 Hz: a spike of 1 mV each second, scaled lead by lead."""
    time = np.arange(5000) / 500.0
    beat = np.exp(-0.5 * ((time % 1.0 - 0.5) / 0.02) ** 2)
    scale = np.linspace(0.4, 1.2, 12)[:, None]
    return Record(
        signal=(scale * beat).astype(np.float32),
        leads=STANDARD_12,
        sampling_rate_hz=500.0,
        record_id="beats",
    )


@pytest.fixture(scope="session")
def synthetic_store(tmp_path_factory) -> Path:
    """The store of 20 synthetic patients of two sessions; read it, do not change it."""
    from anylead.preparation import Preparation
    from anylead.sources.synthetic import Synthetic
    from anylead.store import SplitConfig, write_store

    out = tmp_path_factory.mktemp("stores") / "synthetic"
    source = Synthetic(patients=20, sessions=2)
    split = SplitConfig(test_fraction=0.3, valid_fraction=0.1)
    write_store(source, None, out, preparation=Preparation.default(), split=split)
    return out
