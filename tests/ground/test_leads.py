import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.errors import LeadError
from anylead.leads import LEAD_SETS, STANDARD_12, canonical_lead, canonical_leads, lead_set


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("AVR", "aVR"),
        ("avl", "aVL"),
        ("i", "I"),
        ("DI", "I"),
        ("DIII", "III"),
        ("MLII", "II"),
        ("MV5", "V5"),
        ("ECG I", "I"),
        ("Lead I (Einthoven)", "I"),
        ("Lead aVR (Goldberger)", "aVR"),
        ("lead_II", "II"),
        (" V 1", "V 1"),
        ("v1 ", "V1"),
        ("ECG I filtered", "ECG I filtered"),
        ("Vx", "Vx"),
        ("RESP", "RESP"),
    ],
)
def test_aliases(given_name, expected):
    assert canonical_lead(given_name) == expected


@given(st.sampled_from(STANDARD_12), st.sampled_from([str.upper, str.lower, str.title, str]))
def test_spelling_does_not_matter(name, spell):
    assert canonical_lead(spell(name)) == name


@given(st.text())
def test_canonical_names_stay(text):
    once = canonical_lead(text)
    assert canonical_lead(once) == once


def test_lead_sets_are_subsets_of_the_twelve():
    assert all(set(leads) <= set(STANDARD_12) for leads in LEAD_SETS.values())
    assert lead_set("12") == STANDARD_12
    assert lead_set("4") == ("I", "II", "III", "V2")
    assert lead_set("ii, v2") == ("II", "V2")
    assert lead_set(["aVF"]) == ("aVF",)


def test_refusals():
    with pytest.raises(LeadError, match="got no lead; give at least one"):
        canonical_leads([])
    with pytest.raises(LeadError, match="got an empty lead name"):
        canonical_leads(["I", " "])
    with pytest.raises(LeadError, match="here: lead I is named more than once"):
        canonical_leads(["I", "DI"], where="here")
