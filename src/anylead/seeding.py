"""Randomness as a function of what it is for, never of when or where it is drawn.

A draw is keyed by (seed, purpose, step, row of the global batch): a resumed run, another number of
processes and another order of work all draw the same numbers.
"""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Returns a 63-bit seed for one purpose.

    Args:
        seed: The seed of the run.
        purpose: Names and numbers that say what is drawn, such as ``("order", epoch)``.
    """
    text = "\x1f".join([str(int(seed)), *(f"{type(part).__name__}:{part}" for part in purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Returns a NumPy generator for one purpose; see `derive_seed`."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, *purpose)))
