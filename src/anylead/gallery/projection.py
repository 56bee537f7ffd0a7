"""Cancellable templates: vectors turned by a secret rotation, which can be exchanged for another."""

import hashlib

import numpy as np
from jaxtyping import Float32

from anylead.errors import GalleryError


class Projection:
    """A random orthogonal matrix drawn from a key.

    It keeps every angle, so similarities, thresholds and calibrations stay what they were, up to rounding
    in single precision. Vectors turned by different keys do not fit each other: who has the vectors of one
    gallery cannot look them up in another, and a new key cancels them.

    It does not hide similarities within a gallery, and it is undone by who has the key, or who has about as
    many pairs of a plain and a turned vector as there are dimensions (known-plaintext attack).

    Source: A. Teoh, A. Goh, D. Ngo, "Random Multispace Quantization as an Analytic Mechanism for BioHashing
    of Biometric and Random Identity Inputs", IEEE TPAMI 28(12), 2006, section 3 (the projection, without the
    quantisation); F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices
    of the AMS 54(5), 2007, section 5 (the draw).
    """

    def __init__(self, key: bytes, dimension: int) -> None:
        """Draws the matrix.

        Args:
            key: At least 16 secret bytes.
            dimension: Length of a vector.

        Raises:
            GalleryError: If the key is too short.
        """
        if len(key) < 16:
            raise GalleryError(f"projection: the key has {len(key)} bytes; give at least 16 secret ones.")
        seed = int.from_bytes(hashlib.sha512(b"anylead projection" + key).digest(), "big")
        # A bit generator is stable between versions of NumPy; the distributions of Generator need not be.
        raw = np.random.PCG64(seed).random_raw(2 * dimension * dimension)
        uniform = ((raw >> np.uint64(11)) + 0.5) * 2.0**-53
        first, second = uniform.reshape(2, dimension, dimension)
        normal = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
        q, r = np.linalg.qr(normal)
        self._matrix: Float32[np.ndarray, "dimension dimension"] = (q * np.sign(np.diag(r))).astype(
            np.float32
        )

    def apply(
        self, vectors: Float32[np.ndarray, "*many dimension"]
    ) -> Float32[np.ndarray, "*many dimension"]:
        """Returns vectors turned, of the length they had."""
        return np.asarray(vectors @ self._matrix, np.float32)

    def undo(self, vectors: Float32[np.ndarray, "*many dimension"]) -> Float32[np.ndarray, "*many dimension"]:
        """Returns the vectors that `apply` turned."""
        return np.asarray(vectors @ self._matrix.T, np.float32)
