"""What all tests of ONNX files share."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

import anylead
from onnx_files import ENCODERS, EXPORT, make_bundle


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Returns a folder an encoder, with its bundle and a file in each precision; change nothing in them.

    Exported in a process of its own, for here shapes are checked, and the exporter's are symbols; and once,
    however many processes the tests are shared out to.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "onnx"
    shared.mkdir(exist_ok=True)
    made = {name: shared / name for name in ENCODERS}
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            for name, folder in made.items():
                make_bundle(name).save_pretrained(folder)
            subprocess.run([sys.executable, "-c", EXPORT, *map(str, made.values())], check=True)
            (shared / "done").touch()
    return made


@pytest.fixture
def exported(folders):
    """Returns the bundle and the file of an encoder."""
    return lambda name: (anylead.load(folders[name]), folders[name] / "model.onnx")
