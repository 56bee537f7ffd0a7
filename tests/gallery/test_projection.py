import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery.projection import Projection
from gallery_rows import unit

KEY = bytes(range(32))


def test_angles_stay_and_the_key_undoes_it():
    vectors = np.stack([unit(seed, 64) for seed in range(20)])
    projection = Projection(KEY, 64)
    turned = projection.apply(vectors)
    assert turned.dtype == np.float32
    np.testing.assert_allclose(turned @ turned.T, vectors @ vectors.T, atol=2e-6)
    np.testing.assert_allclose(projection.undo(turned), vectors, atol=2e-6)
    np.testing.assert_allclose(projection.apply(vectors[3]), turned[3], atol=2e-6)


def test_other_keys_give_vectors_that_do_not_fit():
    vectors = np.stack([unit(seed, 256) for seed in range(50)])
    similarity = np.sum(
        Projection(KEY, 256).apply(vectors) * Projection(KEY[::-1], 256).apply(vectors), axis=1
    )
    # Of unrelated unit vectors the cosine has standard deviation 1 / sqrt(256).
    assert np.abs(similarity).max() < 5 / 16


def test_the_same_key_gives_the_same_matrix():
    first, second = Projection(KEY, 16).apply(unit(1, 16)), Projection(KEY, 16).apply(unit(1, 16))
    assert np.array_equal(first, second)


def test_the_draw_does_not_prefer_directions():
    # Mean and variance of the entries of a matrix drawn uniformly are 0 and 1 / dimension.
    entries = np.concatenate(
        [Projection(bytes([k]) * 16, 32).apply(np.eye(32, dtype=np.float32)).ravel() for k in range(20)]
    )
    assert abs(entries.mean()) < 5 / np.sqrt(32 * entries.size)
    assert entries.var() == pytest.approx(1 / 32, rel=0.01)


def test_a_short_key_is_refused():
    with pytest.raises(GalleryError, match="the key has 3 bytes; give at least 16"):
        Projection(b"abc", 8)
