import numpy as np
import pytest

from anylead.errors import InputError
from anylead.evaluation.ranking import Rank, ranks_with_ties


def scores(value, *, noise, seed, common=0.0, draws=400):
    """A score, and resamples that move around it: alike in all systems, and each by its own noise."""
    shared = np.random.default_rng(0).normal(0.0, 1.0, draws) * common
    own = np.random.default_rng(seed).normal(0.0, 1.0, draws) * noise
    return np.concatenate([[value], value + shared + own])


def test_systems_far_apart_are_in_order():
    found = ranks_with_ties(
        {name: scores(0.5 + 0.1 * n, noise=0.005, seed=n) for n, name in enumerate("abc")}
    )
    assert found == {"c": Rank(best=1, worst=1), "b": Rank(best=2, worst=2), "a": Rank(best=3, worst=3)}
    assert [str(found[name]) for name in "abc"] == ["3", "2", "1"]


def test_what_could_be_chance_is_a_tie():
    found = ranks_with_ties(
        {
            "first": scores(0.90, noise=0.005, seed=1),
            "second": scores(0.70, noise=0.03, seed=2),
            "third": scores(0.68, noise=0.03, seed=3),
        }
    )
    assert found["first"] == Rank(best=1, worst=1)
    assert found["second"] == found["third"] == Rank(best=2, worst=3)
    assert str(found["third"]) == "2-3"


def test_a_tie_need_not_pass_on():
    found = ranks_with_ties(
        {
            name: scores(value, noise=0.01, seed=n)
            for n, (name, value) in enumerate(zip("abc", (0.80, 0.77, 0.74), strict=True))
        }
    )
    assert found == {"a": Rank(best=1, worst=2), "b": Rank(best=1, worst=3), "c": Rank(best=2, worst=3)}


def test_patients_that_are_hard_for_all_do_not_make_a_tie():
    near = {name: scores(0.7 + 0.02 * n, noise=0.002, common=0.1, seed=n) for n, name in enumerate("ab")}
    assert ranks_with_ties(near)["b"] == Rank(best=1, worst=1)


def test_equal_scores_tie_and_one_system_is_first():
    same = scores(0.7, noise=0.01, seed=1)
    assert set(ranks_with_ties({"a": same, "b": same.copy()}).values()) == {Rank(best=1, worst=2)}
    assert ranks_with_ties({"a": same}) == {"a": Rank(best=1, worst=1)}
    assert ranks_with_ties({}) == {}


def test_refuses_other_resamples():
    with pytest.raises(InputError, match=r"different numbers of resamples \(a 400, b 10\); use the same"):
        ranks_with_ties({"a": scores(0.7, noise=0.1, seed=1), "b": scores(0.7, noise=0.1, seed=1, draws=10)})
