"""What the section on identification says in words: how it was judged, on what, and what is missing."""

from collections.abc import Sequence

from anylead.evaluation.identity_parts import MINIMUM_PERSONS
from anylead.evaluation.identity_results import IdentitySuite
from anylead.evaluation.open_set import SPLITS
from anylead.evaluation.sections import column_name
from anylead.evaluation.verification import MINIMUM_FALSE_ACCEPTANCES

_HOW = (
    "The gallery holds each person's earliest recording; ties count against the system; persons weigh the "
    "same. True acceptance is given where a false acceptance rate means "
    f"{MINIMUM_FALSE_ACCEPTANCES} impostor comparisons or more."
)
_HOW_OPEN_SET = (
    f"Open set: half of the persons are not enrolled, mean over {SPLITS} such halves. A probe of an enrolled "
    "person counts where the person is the most similar entry and is accepted; the threshold accepts no "
    "more of the others' recordings than the false acceptance rate, which is looked at where it means "
    f"{MINIMUM_FALSE_ACCEPTANCES} of these or more."
)
_HOW_GAP = "By time since enrolment: the persons differ from column to column, not the time alone."
_HOW_SIZE = "By persons in the gallery: the exact mean over all galleries of so many of the persons."
_HOW_ENROLMENT = (
    "By recordings enrolled: an entry is the mean of a person's first recordings, each at unit length; the "
    "probes, later ones, are the same along the curve."
)


def suite_notes(suites: Sequence[IdentitySuite]) -> list[str]:
    """Returns sentences on what was judged, how each part is read, and which parts there are not."""
    told = [*_sizes(suites), _HOW]
    told += [_HOW_OPEN_SET] if any(one.open_set for one in suites) else []
    told += [_HOW_GAP] if any(one.gaps for one in suites) else []
    told += [_HOW_SIZE] if any(one.gallery_sizes for one in suites) else []
    told += [_HOW_ENROLMENT] if any(one.enrolment for one in suites) else []
    return told + _missing(suites)


def _sizes(suites: Sequence[IdentitySuite]) -> list[str]:
    """Returns what was judged, once where it is the same for all."""
    told: dict[str, list[str]] = {}
    for one in suites:
        sentence = (
            f"{one.probes} probes of {one.persons} persons among {one.enrolled} enrolled, "
            f"{one.impostor_comparisons} impostor comparisons"
        )
        sentence += f"; duplicates left out: {one.duplicates_dropped}" if one.duplicates_dropped else ""
        sentence += f"; without an embedding: {one.not_embedded}" if one.not_embedded else ""
        told.setdefault(sentence, []).append(_where(one))
    return [f"{_of(places, suites)}{sentence}." for sentence, places in told.items()]


def _missing(suites: Sequence[IdentitySuite]) -> list[str]:
    """Returns what could not be made, and why, once where it is the same for all."""
    told: dict[str, list[str]] = {}
    for one in suites:
        sentences = list(one.missing)
        few = [f"{gap.name} ({gap.persons})" for gap in one.gaps if gap.reason]
        if few:
            sentences.append(
                "By time since enrolment: not scored, having fewer persons (in brackets) than "
                f"{MINIMUM_PERSONS}: {', '.join(few)}."
            )
        unresolved = [rate for rate, entry in one.tar.items() if entry.reason]
        sentences += _too_few("true acceptance", unresolved, one.impostor_comparisons, "impostor comparisons")
        if one.open_set:
            unresolved = [rate for rate, found in one.open_set.dir.items() if found.reason]
            strangers = "probes of persons who are not enrolled"
            sentences += _too_few("open-set rate", unresolved, one.open_set.other_probes, strangers)
        for sentence in sentences:
            told.setdefault(sentence, []).append(_where(one))
    return [f"{_of(places, suites)}{sentence}" for sentence, places in told.items()]


def _too_few(what: str, rates: Sequence[str], count: int, compared: str) -> list[str]:
    """Returns one sentence for all rates at which there is too little to compare."""
    if not rates:
        return []
    meant = ", ".join(f"{count * float(rate):.2g}" for rate in rates)
    return [
        f"No {what} at a false acceptance rate of {', '.join(rates)}: {count} {compared} mean {meant} there; "
        f"{MINIMUM_FALSE_ACCEPTANCES} are needed."
    ]


def _where(one: IdentitySuite) -> str:
    return column_name(one.lead_set)


def _of(places: Sequence[str], suites: Sequence[IdentitySuite]) -> str:
    """Returns the lead sets in front of a sentence, nothing where they are all."""
    own = dict.fromkeys(places)
    return "" if len(own) == len({one.lead_set for one in suites}) else f"{', '.join(own)}: "
