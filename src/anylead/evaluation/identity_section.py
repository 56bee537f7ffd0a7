"""The section of the report on identification by every protocol."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from anylead.evaluation.identity_figures import rates_by_gap, suite_figures
from anylead.evaluation.identity_notes import suite_notes
from anylead.evaluation.identity_results import IdentitySuite
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.results import Difference, Interval
from anylead.evaluation.sections import INTERVAL_NOTE, column_name

_MOST_DRAWN = 6
_METRICS = {"rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "eer": "equal error rate"}
_PROBES = {"all": "all later recordings", "same_day": "same day", "cross_session": "another date"}


def identity_suite_section(
    suites: Sequence[IdentitySuite],
    differences: Sequence[Difference] = (),
    *,
    title: str = "Whose heart is it?",
    notes: Sequence[str] = (),
    drawn: Sequence[str] | None = None,
) -> Section:
    """Returns tables of systems against lead sets, and figures of the lead set that has the most probes.

    Args:
        suites: Any systems and lead sets; missing pairs stay empty.
        differences: Between systems, from `identity_difference`.
        title: Of the section.
        notes: Sentences of the caller, put first.
        drawn: Systems in the figures; None draws the first six.
    """
    if not suites:
        return Section(title=title, notes=(*notes, "Identification: nothing was judged."))
    lead_sets = list(dict.fromkeys(one.lead_set for one in suites))
    systems = list(dict.fromkeys(one.system for one in suites))
    names = systems[:_MOST_DRAWN] if drawn is None else [name for name in drawn if name in systems]
    main = max(suites, key=lambda one: one.probes).lead_set
    in_main = {one.system: one for one in suites if one.lead_set == main}
    shown = {name: in_main[name] for name in names if name in in_main}
    tables = _rate_tables(suites)
    tables += _curve_tables([one for one in suites if one.lead_set == main], column_name(main))
    told = [*notes, INTERVAL_NOTE, *suite_notes(suites)]
    if len(lead_sets) > 1:
        told.append(f"Curves are those of {column_name(main)}; report.json has those of all lead sets.")
    left = [name for name in systems if name not in shown]
    if left:
        told.append(f"In the tables, not in the figures: {', '.join(left)}.")
    return Section(
        title=title,
        notes=tuple(told),
        tables=(*tables, *_difference_table(differences)),
        figures=tuple(suite_figures(shown, column_name(main))) if shown else (),
    )


def _rate_tables(suites: Sequence[IdentitySuite]) -> list[Table]:
    """Returns systems against lead sets, one table a number."""
    picks: list[tuple[str, Callable[[IdentitySuite], Interval | None]]] = [
        ("Rank-1", lambda one: one.rank1),
        ("Rank-5", lambda one: one.rank5),
        ("Rank-10", lambda one: one.rank10),
        ("Equal error rate", lambda one: one.eer),
    ]
    for rate in dict.fromkeys(rate for one in suites for rate in one.tar):
        caption = f"True acceptance at a false acceptance rate of {rate}"
        picks.append((caption, partial(_acceptance, rate)))
    for rate in dict.fromkeys(rate for one in suites if one.open_set for rate in one.open_set.dir):
        caption = f"Open set: detection and identification at a false acceptance rate of {rate}"
        picks.append((caption, partial(_detection, rate)))
    tables = []
    for caption, pick in picks:
        grid: dict[str, dict[str, Interval]] = {}
        for one in suites:
            value = pick(one)
            if value is not None:
                grid.setdefault(one.system, {})[column_name(one.lead_set)] = value
        tables += _grid_table(caption, grid, caption in ("Rank-5", "Rank-10"))
    return tables


def _acceptance(rate: str, one: IdentitySuite) -> Interval | None:
    return one.tar[rate].rate if rate in one.tar else None


def _detection(rate: str, one: IdentitySuite) -> Interval | None:
    return one.open_set.dir[rate].rate if one.open_set and rate in one.open_set.dir else None


def _curve_tables(suites: Sequence[IdentitySuite], leads: str) -> list[Table]:
    """Returns what recognition depends on, one lead set."""
    sizes = {one.system: {str(point.at): point.rate for point in one.gallery_sizes} for one in suites}
    enrolled = {
        one.system: {str(point.recordings): point.rank1 for point in one.enrolment.points}
        for one in suites
        if one.enrolment
    }
    enrolled_eer = {
        one.system: {str(point.recordings): point.eer for point in one.enrolment.points}
        for one in suites
        if one.enrolment
    }
    tables = [
        *_grid_table(f"Rank-1 by time since enrolment, {leads}", rates_by_gap(suites, "rank1")),
        *_grid_table(f"Equal error rate by time since enrolment, {leads}", rates_by_gap(suites, "eer")),
        *_grid_table(f"Rank-1 by persons in the gallery, {leads}", sizes),
        *_grid_table(f"Rank-1 by recordings enrolled, {leads}", enrolled),
        *_grid_table(f"Equal error rate by recordings enrolled, {leads}", enrolled_eer),
    ]
    bands = sorted({(count.first, str(count)) for one in suites for count in one.ranks})
    rows = tuple(
        (
            one.system,
            f"{one.median_rank:g}",
            *({str(count): str(count.probes) for count in one.ranks}.get(band, "0") for _, band in bands),
        )
        for one in suites
    )
    columns = ("System", "median", *(band for _, band in bands))
    caption = f"Probes by the place of their person, {leads}"
    return [*tables, Table(caption=caption, columns=columns, rows=rows, folded=True)]


def _grid_table(
    caption: str, grid: Mapping[str, Mapping[str, Interval]], folded: bool = False
) -> list[Table]:
    """Returns one table, or none where there is nothing to show."""
    columns = tuple(dict.fromkeys(column for row in grid.values() for column in row))
    rows = tuple(
        (system, *(row.get(column, "not evaluated") for column in columns)) for system, row in grid.items()
    )
    if not columns:
        return []
    return [Table(caption=caption, columns=("System", *columns), rows=rows, folded=folded)]


def _difference_table(differences: Sequence[Difference]) -> list[Table]:
    if not differences:
        return []
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{difference.a} minus {difference.b}",
            _METRICS.get(difference.metric, difference.metric),
            column_name(difference.lead_set),
            _PROBES[difference.subset or "all"],
            "undefined" if difference.interval.value is None else _signed(difference.interval),
            "yes" if difference.excludes_zero else "no",
        )
        for difference in differences
    )
    columns = ("Systems", "Metric", "Leads", "Probes", "Difference", "Excludes zero")
    caption = "Paired differences, on the same resamples"
    return [Table(caption=caption, columns=columns, rows=rows, folded=True)]


def _signed(interval: Interval) -> str:
    bounds = "" if interval.low is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"{interval.value:+.3f}{bounds}"
