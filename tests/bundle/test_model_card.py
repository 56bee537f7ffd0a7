"""The model card: what a stranger is told of data, licences, numbers and limits; and nothing breaks it."""

import json

import pytest
from huggingface_hub import ModelCard

from anylead.bundle import BundleManifest, HeadManifest
from anylead.bundle.card import model_card
from anylead.bundle.card_data import weights_licence
from anylead.bundle.markdown import flat, safe, table, without_paths
from anylead.bundle.measured import Curve, CurvePoint, DataSet, Estimate, Measured, Row, Scores, measured
from anylead.config import to_plain
from anylead.encoders.base import Readout
from anylead.preparation import Preparation

PTB_XL = {"source": "ptb-xl", "fingerprint": "f1"}
SYNTHETIC = {"source": "synthetic", "fingerprint": "f2"}
MINE = {"source": "files", "fingerprint": "f3"}


def manifest(provenance=None, numbers=None, heads=None):
    return BundleManifest(
        encoder_kind="conv_transformer",
        encoder={"layers": 2, "dimension": 16},
        preparation=Preparation.default().to_plain(),
        sampling_rate_hz=500.0,
        leads=("I", "II"),
        heads=heads or {},
        provenance=provenance or {},
        numbers=numbers or {},
    )


def card(provenance=None, numbers=None, heads=None, figure=None):
    return model_card(manifest(provenance, numbers, heads), figure=figure)


def front(text):
    return ModelCard(text).data.to_dict()


def report(**changes):
    score = Estimate(value=0.8123, low=0.781, high=0.839)
    rows = (
        Row(name="this encoder, probe", role="this", cells=(score, "")),
        Row(name="theirs, probe", role="other", cells=(Estimate(value=None), "")),
        Row(name="hand-made features, probe", role="baseline", cells=(Estimate(value=0.9), "0 of 2")),
    )
    curves = tuple(
        Curve(
            system=system,
            role=role,
            kind="shift",
            metric="macro AUROC",
            number=score,
            points=(
                CurvePoint(leads=1, subsets=5, score=score),
                CurvePoint(leads=12, subsets=1, score=score),
            ),
        )
        for system, role in (("mine", "this"), ("untrained 0", "baseline"))
    )
    values = {
        "judged": "mine",
        "bundle": "00ff",
        "made": "anylead 9, 2030-01-01",
        "data": (DataSet(source="ptb-xl"),),
        "recordings": 100,
        "patients": 60,
        "classes": 5,
        "resamples": 2000,
        "summary": ("That pre-training helps is not shown.",),
        "tables": (
            Scores(title="Finding classes", told="How.", columns=("s", "AUROC", "beaten"), rows=rows),
        ),
        "curves": curves,
    }
    found = to_plain(Measured(**{**values, **changes}))
    return {"evaluation": json.loads(json.dumps(found))}


def test_front_matter_names_what_the_hub_looks_for():
    data = front(card({"pretraining": {"seed": 0}, "stores": [PTB_XL, MINE, SYNTHETIC], "steps": 7}))
    assert data["library_name"] == "anylead"
    assert data["pipeline_tag"] == "feature-extraction"
    assert {"ecg", "self-supervised"} <= set(data["tags"])
    # What is no published data set has no page there.
    assert data["datasets"] == ["ptb-xl"]
    assert "license" not in data


def test_a_licence_is_what_was_stated_and_follows_from_nothing_else():
    assert weights_licence({"stores": [PTB_XL]}) is None
    assert "Nobody has stated a licence for these weights" in card({"stores": [PTB_XL]})
    imported = {"imported": {"file": "a.pt", "licence": "MIT", "url": "https://x.org", "assumed": ["b < c."]}}
    for provenance in (imported, {"started_from": {"weights": "bundle", **imported}}):
        told = card(provenance)
        # That the file is what it was taken for may be a guess.
        assert "license" not in front(told)
        assert "Nobody has stated a licence" in told
        assert "Licence of the weights that were imported: MIT." in told
        assert "imported from the file `a.pt`" in told
        assert "are taken to be those of <https://x.org>" in told
        assert "- b &lt; c." in told
    stated = card({**imported, "release": {"licence": "cc-by-nc-4.0"}})
    assert front(stated)["license"] == "cc-by-nc-4.0"
    assert "The weights: `cc-by-nc-4.0`." in stated


def test_training_data_come_with_licence_and_citation():
    told = card(
        {"pretraining": {"seed": 3}, "stores": [PTB_XL, PTB_XL], "steps": 7}, {"pretraining": {"loss": 2.5}}
    )
    (row,) = [line for line in told.splitlines() if "physionet.org/content/ptb-xl" in line]
    assert "| CC BY 4.0 |" in row
    assert "doi:10.1038/s41597-020-0495-6" in row
    assert "Pre-trained, without labels, on the training part of:" in told
    assert "7 updates, seed 3" in told
    assert "no measure of quality: loss 2.5" in told
    assert "arXiv:2203.06889" in told
    assert "Synthetic" not in told


def test_a_fine_tuned_bundle_says_what_its_weights_had_seen_before():
    heads = {"rhythm": HeadManifest(kind="linear", config={"classes": ["AF"]})}
    provenance = {"stores": [SYNTHETIC], "training_recordings": 20, "training_persons": 10}
    before = {"started_from": {"bundle": "00ff", "weights": "bundle", "trained_on": [PTB_XL]}}
    told = card({**provenance, **before}, heads=heads)
    assert "The weights it started from had learned from the training part of:" in told
    assert "Fine-tuned the head `rhythm` on 20 recordings of 10 persons in the training part of:" in told
    assert "**Synthetic patients do not exist**" in told
    assert front(told)["datasets"] == ["ptb-xl"]
    assert 'model.predict_proba(signal, fs=500, leads=["I", "II"], head="rhythm")' in told
    unknown = card({**provenance, "started_from": {"bundle": "00ff", "weights": "bundle"}})
    assert "It started from the weights of the bundle `00ff`, and does not say what those" in unknown
    fresh = card({**provenance, "started_from": {"bundle": "00ff", "weights": "fresh"}})
    assert "It started from random weights: nothing was pre-trained." in fresh
    assert "The bundle does not say what its weights were trained on." in card()


def test_numbers_stand_with_intervals_beside_baselines():
    told = card(numbers=report())
    assert "100 test recordings of 60 patients, 5 classes" in told
    assert "95 % intervals over patients, from 2000 resamples" in told
    assert "| **this encoder, probe** | 0.812 [0.78, 0.84] |" in told
    assert "| theirs, probe (another model) | undefined |" in told
    assert "| hand-made features, probe (baseline) | 0.900 | 0 of 2 |" in told
    assert "`mine` is this bundle" in told
    assert "- That pre-training helps is not shown." in told
    assert "[PTB-XL, a large publicly available electrocardiography dataset](https://physionet.org" in told
    # Who judged on data the weights have not seen cites those too.
    assert "- Wagner P. et al., PTB-XL" in told


def test_the_any_lead_curve_is_a_table_and_a_picture_where_there_is_one():
    told = card(numbers=report())
    assert "Macro AUROC by number of leads, shift:" in told
    assert "| leads | **this encoder** | untrained 0 (baseline) |" in told
    assert "| 1 | 0.812 [0.78, 0.84] | 0.812 [0.78, 0.84] |" in told
    assert "Macro AUROC by number of leads, information:" not in told
    assert "![" not in told
    (picture,) = [
        line for line in card(numbers=report(), figure="c.png").splitlines() if line.startswith("![")
    ]
    assert picture.endswith("](c.png)")
    assert "shift: 0.812 (0.78, 0.84) at the fewest leads (1)" in picture
    assert "is not in a short report: evaluate without `--quick`" in card(
        numbers=report(curves=(), quick=True)
    )
    assert "is not in this report" in card(numbers=report(curves=()))


def test_what_a_reader_could_get_wrong_is_said():
    heads = {"rhythm": HeadManifest(kind="linear", config={"classes": ["AF"]})}
    assert "The probabilities of the head `rhythm` were not judged" in card(numbers=report(), heads=heads)
    read = card(numbers=report(readout=Readout(layer=1, pooling="mean_std")))
    assert '`readout=Readout(layer=1, pooling="mean_std")`' in read
    synthetic = report(data=(DataSet(source="synthetic", patients_known=False),))
    assert "these numbers say nothing about real ECGs" in card(numbers=synthetic)
    assert "a recording counts as one where patients are not published" in card(numbers=synthetic)
    assert "recordings that the report does not name" in card(numbers=report(data=()))
    assert "No evaluation came with this bundle" in card()


def test_other_numbers_are_shown_as_they_were_handed_on():
    told = card(numbers={"auroc": 0.5, "mine": {"loss": 0.123456}, "evaluation": {"of": "another kind"}})
    assert "| auroc | 0.5 |" in told
    assert "| mine | loss 0.1235 |" in told
    assert "| evaluation | of another kind |" in told
    assert measured({"evaluation": {"of": "another kind"}}) is None


def test_nothing_that_is_told_breaks_the_card():
    names = ("a | b", "<script>alert(1)</script>", "two\nlines")
    rows = tuple(Row(name=name, cells=("",)) for name in names)
    scores = Scores(title="T", told="How.", columns=("s", "x"), rows=rows)
    told = card(numbers=report(tables=(scores,), summary=("In /data/stores/secret it is </div> so.",)))
    assert "| a \\| b | |" in told.replace("|  |", "| |")
    assert "<script>" not in told
    assert "| two lines | |" in told.replace("|  |", "| |")
    assert "- In secret it is &lt;/div> so." in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("read /data/hospital/x.json now", "read x.json now"),
        ("~/a/b and C:\\a\\b.c", "b and b.c"),
        ("PhysioNet/CinC 2021 or https://physionet.org/content/x", None),
    ],
)
def test_paths_of_a_machine_are_cut(text, expected):
    assert without_paths(text) == (expected or text)


def test_markdown_is_made_of_plain_values():
    assert flat({"layers": 2, "rate_hz": 0.123456, "of": {"a": [1, 2.0]}}) == (
        "layers 2, rate hz 0.1235, of (a 1 2)"
    )
    assert table(("a", "b"), [(1, "x|y")]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |"
    assert safe("  a \n b ") == "a b"
