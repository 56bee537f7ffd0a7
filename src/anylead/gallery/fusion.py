"""Several templates of one patient made one score, score normalisation, and posteriors over patients."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

from anylead.errors import GalleryError
from anylead.gallery.template import TemplateTable

Fusion = Literal["max", "mean of top", "log-sum"]
FUSIONS: tuple[Fusion, ...] = ("max", "mean of top", "log-sum")
TOP = 3
"""Templates that ``mean of top`` takes, at most."""
SHARPNESS = 20.0
"""Of ``log-sum``: the mean of exp(20 similarity), back on the scale of similarities."""
FEWEST_PERSONS = 10
"""With three recordings or more, fewer of whom do not choose a way to fuse."""


def fuse(similarities: Float[np.ndarray, "*rows templates"], *, how: str = "max") -> np.ndarray:
    """Returns one score from the similarities to several templates of one patient.

    Args:
        similarities: NaN where there is no template; a patient without any scores NaN.
        how: ``max``; the mean of the `TOP` most similar; or the logarithm of the mean exponential, which
            lies between the mean and the largest.

    Raises:
        GalleryError: If there is no such way.
    """
    given = np.asarray(similarities, dtype=np.float64)
    low = np.where(np.isnan(given), -np.inf, given)
    count = (~np.isnan(given)).sum(axis=-1)
    if how == "max":
        fused = low.max(axis=-1, initial=-np.inf)
    elif how == "mean of top":
        top = -np.sort(-low, axis=-1)[..., :TOP]
        total = np.where(np.isfinite(top), top, 0.0).sum(axis=-1)
        fused = total / np.maximum(np.minimum(count, TOP), 1)
    elif how == "log-sum":
        fused = (logsumexp(SHARPNESS * low, axis=-1) - np.log(np.maximum(count, 1))) / SHARPNESS
    else:
        raise GalleryError(f"fusion: got {how!r}; give one of {', '.join(FUSIONS)}.")
    return np.asarray(np.where(count > 0, fused, np.nan))


def choose_fusion(table: TemplateTable) -> tuple[Fusion, str]:
    """Chooses how to fuse: by Rank-1 of recordings left out one at a time, persons weighing the same.

    Only recordings of persons with two others or more are asked, against one template set of everybody;
    of equals the first of `FUSIONS` is taken, as where fewer than `FEWEST_PERSONS` persons can be asked.

    Returns:
        The way, and a sentence that says why.
    """
    names, person = np.unique(np.array(table.patient_ids, dtype=str), return_inverse=True)
    counts = np.bincount(person, minlength=len(names))
    asked = np.flatnonzero(counts[person] >= 3)
    persons = len(np.unique(person[asked]))
    if persons < FEWEST_PERSONS:
        return "max", f"the most similar template, as {persons} persons with three recordings do not choose."
    columns = _columns(person, counts)
    weights = 1.0 / counts[person[asked]]
    rates = {}
    for how in FUSIONS:
        right = np.array([_is_first(table.vectors, person, columns, int(row), how) for row in asked])
        rates[how] = float((weights * right).sum() / weights.sum())
    best = max(FUSIONS, key=lambda how: rates[how])
    told = ", ".join(f"{how} {rate:.3f}" for how, rate in rates.items())
    return best, f"chosen by Rank-1 of {persons} persons with three recordings or more ({told})."


def adaptive_s_norm(
    similarity: Float[np.ndarray, "pairs"],
    probe_cohort: Float[np.ndarray, "pairs cohort"],
    template_cohort: Float[np.ndarray, "pairs others"],
    *,
    top: int = 100,
) -> Float[np.ndarray, "pairs"]:
    """Returns similarities in standard deviations from what strangers alike reach, mean over both sides.

    Args:
        similarity: Of probe and template.
        probe_cohort: Of each pair's probe to recordings of other people.
        template_cohort: Of each pair's template to such recordings.
        top: How many of the most similar strangers are taken.

    Raises:
        GalleryError: If the cohort has fewer than two recordings.

    Source: Matejka et al. 2017, "Analysis of score normalization in multilingual speaker recognition".
    """
    if min(probe_cohort.shape[1], template_cohort.shape[1]) < 2:
        raise GalleryError(
            f"score normalisation: the cohort has {min(probe_cohort.shape[1], template_cohort.shape[1])} "
            "recordings; give two or more of other people."
        )
    sides = []
    for cohort in (probe_cohort, template_cohort):
        nearest = -np.sort(-np.asarray(cohort, dtype=np.float64), axis=1)[:, :top]
        spread = np.maximum(nearest.std(axis=1), 1e-6)
        sides.append((similarity - nearest.mean(axis=1)) / spread)
    return np.asarray(0.5 * (sides[0] + sides[1]))


def mean_likelihood_ratio(
    log_ratios: Float[np.ndarray, "*rows templates"], there: Bool[np.ndarray, "*rows templates"] | None = None
) -> np.ndarray:
    """Returns the logarithm of the mean likelihood ratio over a patient's templates.

    The mean stays 1 on average for a stranger however many templates there are and however alike they are;
    the largest of many would not.

    Args:
        log_ratios: Log-likelihood ratio (natural) to each template.
        there: Which templates there are; None is all. Without any the ratio is 1.
    """
    if there is None:
        there = np.ones(log_ratios.shape, dtype=bool)
    count = there.sum(axis=-1)
    total = logsumexp(np.where(there, log_ratios, -np.inf), axis=-1)
    return np.asarray(np.where(count > 0, total - np.log(np.maximum(count, 1)), 0.0))


def identification_posterior(
    log_ratios: Float[np.ndarray, "draws patients"], *, known_prior: float, enrolled: int
) -> tuple[Float[np.ndarray, "draws patients"], Float[np.ndarray, "draws"]]:
    """Returns the probability of each patient, and that of nobody in the gallery.

    Before looking, the person is in the gallery with `known_prior`, and then each patient is as likely.

    Args:
        log_ratios: Of the patients that were looked at, one row a draw of the calibration. Patients left out
            are taken to be as likely as before, relative to nobody.
        known_prior: From 0 to below 1.
        enrolled: Patients in the gallery.

    Raises:
        GalleryError: If the prior is not from 0 to below 1, or fewer are enrolled than were looked at.
    """
    looked_at = log_ratios.shape[1]
    if not 0.0 <= known_prior < 1.0 or enrolled < max(looked_at, 1):
        raise GalleryError(
            f"identification: got a prior of {known_prior:g} and {enrolled} enrolled patients of whom "
            f"{looked_at} were looked at; give a prior from 0 to below 1 and all enrolled patients."
        )
    with np.errstate(divide="ignore"):
        each = np.log(known_prior) - np.log(enrolled)
        rest = each + np.log(enrolled - looked_at)
    nobody = np.full((len(log_ratios), 1), np.log1p(-known_prior))
    terms = np.concatenate([log_ratios + each, np.full_like(nobody, rest), nobody], axis=1)
    shares = np.exp(terms - logsumexp(terms, axis=1, keepdims=True))
    return np.asarray(shares[:, :looked_at]), np.asarray(shares[:, -1])


def verification_posterior(log_ratio: Float[np.ndarray, "draws"], *, prior: float) -> np.ndarray:
    """Returns the probability that it is the patient named, given what was believed before.

    Raises:
        GalleryError: If the prior is not between 0 and 1.
    """
    if not 0.0 < prior < 1.0:
        raise GalleryError(f"verification: the prior is {prior:g}; give a number between 0 and 1.")
    odds = np.log(prior) - np.log1p(-prior) + np.asarray(log_ratio, dtype=np.float64)
    return np.asarray(np.exp(-np.logaddexp(0.0, -odds)))


def _columns(person: Int[np.ndarray, "templates"], counts: np.ndarray) -> np.ndarray:
    """Returns rows of each person, -1 where there are no more."""
    columns = np.full((len(counts), int(counts.max())), -1)
    order = np.argsort(person, kind="stable")
    place = np.arange(len(person)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns[person[order], place] = order
    return columns


def _is_first(vectors: np.ndarray, person: np.ndarray, columns: np.ndarray, row: int, how: Fusion) -> bool:
    similarity = (vectors @ vectors[row]).astype(np.float64)
    similarity[row] = np.nan
    scores = fuse(np.where(columns >= 0, similarity[columns], np.nan), how=how)
    own = scores[person[row]]
    return int((scores >= own).sum()) == 1
