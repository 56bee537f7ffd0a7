import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.errors import ConfigError, InputError
from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.classification import auroc
from anylead.evaluation.label_budgets import BudgetConfig, evaluate_label_budgets, nested_draws
from anylead.evaluation.probe import ProbeConfig, fit_probe

FAST = ProbeConfig(l2_strengths=(10.0,))


def case(records=120, features=30, seed=0):
    """Three recordings a patient; a common class, another, and one with two positives."""
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(records, features))
    labels = embeddings[:, :3] + random.normal(size=(records, 3)) > np.array([0.0, 0.5, 9.0])
    labels[:2, 2] = True
    return embeddings, labels, [f"{seed}-{row // 3}" for row in range(records)]


def judge(config, *, train=None, test=None):
    embeddings, labels, patients = case() if train is None else train
    new, truth, others = case(records=60, seed=1) if test is None else test
    return evaluate_label_budgets(
        embeddings,
        labels,
        new,
        truth,
        patients=patients,
        test_patients=others,
        draws=patient_draws(others, resamples=20),
        classes=("a", "b", "rare"),
        system="s",
        config=config,
    )


@given(st.integers(0, 100), st.lists(st.sampled_from(["p", "q", "r", "s", None]), min_size=1, max_size=30))
def test_budgets_of_a_draw_are_nested_and_take_patients_whole(seed, patients):
    config = BudgetConfig(fractions=(0.01, 0.3, 0.5, 1.0), draws=3, seed=seed)
    for rows in nested_draws(patients, config):
        assert len(rows[0.01]) >= 1
        assert rows[1.0].tolist() == list(range(len(patients)))
        for small, large in ((0.01, 0.3), (0.3, 0.5), (0.5, 1.0)):
            assert set(rows[small]) <= set(rows[large])
        for chosen in rows.values():
            inside = {patients[row] for row in chosen} - {None}
            outside = {patients[row] for row in range(len(patients)) if row not in chosen} - {None}
            assert not inside & outside


def test_a_budget_is_a_part_of_the_patients():
    patients = [f"p{row // 7}" for row in range(700)]
    (rows,) = nested_draws(patients, BudgetConfig(draws=1))
    assert {fraction: len(chosen) for fraction, chosen in rows.items()} == {
        0.01: 7,
        0.05: 35,
        0.1: 70,
        1.0: 700,
    }


def test_draws_differ_and_repeat():
    patients = [f"p{row}" for row in range(200)]
    first, second = nested_draws(patients, BudgetConfig(draws=2))
    again, _ = nested_draws(patients, BudgetConfig(draws=2))
    assert set(first[0.1]) != set(second[0.1])
    np.testing.assert_array_equal(first[0.1], again[0.1])


def test_the_whole_is_the_probe_itself():
    embeddings, labels, patients = case()
    new, truth, _ = test = case(records=60, seed=1)
    (whole,) = judge(BudgetConfig(fractions=(1.0,), probe=FAST), test=test)
    probe = fit_probe(embeddings, labels, patients=patients, config=FAST)
    assert whole.macro_auroc.value == pytest.approx(auroc(truth, probe.predict_proba(new)).mean())
    assert whole.macro_auroc.resamples_used == 20
    assert len(whole.per_draw) == 1
    assert whole.spread is None


def test_the_mean_is_over_draws_on_the_classes_that_all_budgets_have():
    train, test = case(), case(records=60, seed=1)
    config = BudgetConfig(fractions=(0.5, 1.0), draws=4, probe=FAST)
    half, whole = judge(config, train=train, test=test)
    # One patient has both positives of the rare class: a draw without them cannot learn it.
    assert half.left_out == ("rare",)
    assert (half.classes, half.common_classes) == (2, 2)
    assert (whole.classes, whole.common_classes) == (3, 2)
    expected = []
    for rows in nested_draws(train[2], config):
        chosen = rows[0.5]
        probe = fit_probe(
            train[0][chosen], train[1][chosen], patients=[train[2][row] for row in chosen], config=FAST
        )
        expected.append(auroc(test[1], probe.predict_proba(test[0]))[:2].mean())
    assert half.per_draw == pytest.approx(expected)
    assert half.macro_auroc_common.value == pytest.approx(np.mean(expected))
    assert half.spread == pytest.approx((min(expected), max(expected)))
    assert whole.macro_auroc_common.value != whole.macro_auroc.value
    assert (half.recordings, half.patients) == (60, 20)


def test_a_budget_that_is_too_small_is_named_and_not_run():
    small, whole = judge(BudgetConfig(fractions=(0.1, 1.0), probe=FAST))
    assert (small.too_small, small.recordings, small.patients) == (True, 12, 4)
    assert small.macro_auroc.value is None
    assert small.per_draw == ()
    assert not whole.too_small
    # It takes no class from the others.
    assert whole.common_classes == whole.classes


def test_few_patients_with_many_recordings_are_too_small_for_the_folds():
    train = case()
    few = (train[0], train[1], [f"p{row // 40}" for row in range(120)])
    (result,) = judge(BudgetConfig(fractions=(1.0,)), train=few)
    assert result.too_small
    assert (result.recordings, result.patients) == (120, 3)


def test_no_class_that_can_be_learnt_is_undefined():
    embeddings, labels, patients = case()
    (result,) = judge(
        BudgetConfig(fractions=(1.0,), probe=FAST), train=(embeddings, np.zeros_like(labels), patients)
    )
    assert result.macro_auroc.value is None
    assert result.per_draw == (None,)
    assert result.left_out == ("a", "b", "rare")


@pytest.mark.parametrize("options", [{"fractions": (0.0,)}, {"fractions": (1.5,)}, {"draws": 0}])
def test_refuses_budgets_that_are_none(options):
    with pytest.raises(ConfigError, match="give fractions above 0 and up to 1, and at least one draw"):
        BudgetConfig(**options)


def test_refuses_no_recording():
    with pytest.raises(InputError, match="got no training recording"):
        nested_draws([], BudgetConfig())


def test_refuses_patients_that_do_not_fit():
    embeddings, labels, patients = case()
    with pytest.raises(InputError, match="got 119 patients and 3 class names"):
        judge(None, train=(embeddings, labels, patients[1:]))
