"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import torch
from anylead.engine.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep" and not keep_freed_memory():
    print("not glibc")
    sys.exit()
def step():
    return torch.ones(8, 1 << 20).mul(2).sum().item()
for _ in range(5):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


def faults(mode):
    done = subprocess.run([sys.executable, "-c", CODE, mode], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the setting is one of glibc")
def test_pages_are_asked_for_once():
    kept = faults("keep")
    if kept == "not glibc":
        pytest.skip("the C library is not glibc")
    # 32 MiB twice a step are 16,384 pages; with larger pages fewer.
    assert int(kept) < int(faults("give back")) / 4
