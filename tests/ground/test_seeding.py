import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anylead.seeding import derive_seed, generator


def test_a_seed_is_a_function_of_its_purpose():
    assert derive_seed(1, "order", 2) == derive_seed(1, "order", 2)
    others = {
        derive_seed(0, "order", 2),
        derive_seed(1, "order", 3),
        derive_seed(1, "crop", 2),
        derive_seed(1),
    }
    assert len(others | {derive_seed(1, "order", 2)}) == 5
    assert derive_seed(1, "2") != derive_seed(1, 2)
    assert derive_seed(1, "a", "b") != derive_seed(1, "a\x1fb")


@given(st.integers(0, 2**40), st.text())
def test_seeds_fit_where_seeds_go(seed, purpose):
    assert 0 <= derive_seed(seed, purpose) < 2**63


def test_generators_repeat():
    a, b = generator(3, "x").standard_normal(4), generator(3, "x").standard_normal(4)
    assert np.array_equal(a, b)
