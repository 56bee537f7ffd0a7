"""Conditions: everything a recording is put through to see what an encoder withstands.

A condition is known by its name, which is stable, safe as a file name, and says all there is to say:
``clean``, ``lead-set-6``, ``leads-I,V2``, ``drop-V3``, ``wrong-LA-RA``, ``wrong-flat-II``,
``noise-muscle-6dB``, ``noise-muscle-minus6dB``, ``rate-100Hz``, ``duration-2.5s``, ``gain-x0.5``,
``offset-minus1mV``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, cast, get_args

import numpy as np

from anylead.errors import ConfigError, InputError
from anylead.leads import LEAD_SETS, STANDARD_12, canonical_leads
from anylead.record import Record
from anylead.seeding import generator
from anylead.signal.lead_faults import REVERSALS, LimbPair, flat_lead, noisy_lead, swap_leads, swap_limb_leads
from anylead.signal.noise import NOISES
from anylead.signal.resample import resample

Family = Literal[
    "clean",
    "lead_set",
    "lead_subset",
    "drop_lead",
    "wrong_lead",
    "noise",
    "rate",
    "duration",
    "gain",
    "offset",
]
FAMILIES: tuple[Family, ...] = get_args(Family)
"""In the order of a report."""

SNR_DB = (24.0, 18.0, 12.0, 6.0, 0.0, -6.0)
"""Signal-to-noise ratios, the mildest first; those of the MIT-BIH Noise Stress Test Database."""
RATES_HZ = (100.0, 125.0, 200.0, 250.0, 400.0, 1000.0)
DURATIONS_S = (2.5, 5.0, 10.0, 20.0, 30.0)
GAINS = (0.5, 0.8, 1.25, 2.0)
OFFSETS_MV = (-1.0, -0.2, 0.2, 1.0)
FAULTY_LEADS = ("II", "V2", "V5")
"""Leads that are made flat or noisy, one at a time."""
NOISY_LEAD_SNR_DB = -10.0
"""Of a noisy lead: a tenth of its power is ECG."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One thing that is done to every recording."""

    name: str
    """As the module says."""
    family: Family
    kind: str = ""
    """Of the noise (``wander``, ``muscle``, ``powerline``, ``motion``) or of the fault (``LA/RA``, ``LA/LL``,
    ``RA/LL``, ``swap``, ``flat``, ``noisy``); empty for the other families."""
    level: float | None = None
    """dB, Hz, s, times, mV, or the number of leads kept; None where nothing is graded."""
    leads: tuple[str, ...] = ()
    """The leads kept, the one dropped, or those at fault; empty where all are treated alike."""

    @property
    def changes_signal(self) -> bool:
        """Whether it does more than leave out leads, so that a prepared recording is prepared again."""
        return self.family not in ("clean", "lead_set", "lead_subset", "drop_lead")

    def apply(self, record: Record, *, seed: int) -> Record | None:
        """Returns the recording under this condition; the one given is left as it is.

        Randomness is a function of the seed, the recording's id and what the noise is; not of its
        level, so that the points of a curve differ by nothing else.

        Args:
            record: Any recording, as read or prepared.
            seed: Another seed, other noise.

        Returns:
            None where the condition does not apply: a lead it needs was not recorded, the recording is
            shorter than asked, has no signal to relate noise to, or too low a rate to hold it.
        """
        try:
            return _APPLY[self.family](self, record, seed)
        except InputError:
            return None


def lead_subset(leads: Sequence[str]) -> Condition:
    """Returns the condition that keeps some of the twelve leads, named in their canonical order.

    Raises:
        LeadError: If there is none, or one twice.
        ConfigError: If one is no standard lead.
    """
    given = canonical_leads(leads, where="lead subset")
    unknown = [lead for lead in given if lead not in STANDARD_12]
    if unknown:
        raise ConfigError(
            f"lead subset: {', '.join(unknown)} is no standard lead; choose from {', '.join(STANDARD_12)}."
        )
    kept = tuple(lead for lead in STANDARD_12 if lead in given)
    return Condition(name=f"leads-{','.join(kept)}", family="lead_subset", level=float(len(kept)), leads=kept)


@cache
def standard_conditions() -> tuple[Condition, ...]:
    """Returns every condition but the subsets of leads, of which there are 4,095: see `lead_subset`."""
    return (
        Condition(name="clean", family="clean"),
        *(
            Condition(name=f"lead-set-{key}", family="lead_set", level=float(len(leads)), leads=leads)
            for key, leads in LEAD_SETS.items()
        ),
        *(Condition(name=f"drop-{lead}", family="drop_lead", leads=(lead,)) for lead in STANDARD_12),
        *_wrong_leads(),
        *(
            Condition(name=f"noise-{kind}-{_number(snr)}dB", family="noise", kind=kind, level=snr)
            for kind in NOISES
            for snr in SNR_DB
        ),
        *(Condition(name=f"rate-{_number(hz)}Hz", family="rate", level=hz) for hz in RATES_HZ),
        *(Condition(name=f"duration-{_number(s)}s", family="duration", level=s) for s in DURATIONS_S),
        *(Condition(name=f"gain-x{_number(gain)}", family="gain", level=gain) for gain in GAINS),
        *(Condition(name=f"offset-{_number(mv)}mV", family="offset", level=mv) for mv in OFFSETS_MV),
    )


def conditions_of(family: str) -> tuple[Condition, ...]:
    """Returns the standard conditions of one family, in order; none for ``lead_subset``.

    Raises:
        ConfigError: If there is no such family.
    """
    if family not in FAMILIES:
        raise ConfigError(f"conditions: there is no family {family!r}; there are {', '.join(FAMILIES)}.")
    return tuple(condition for condition in standard_conditions() if condition.family == family)


def condition(name: str) -> Condition:
    """Returns the condition of a name: a standard one, or ``leads-`` and a list such as ``I,V2``.

    Raises:
        LeadError: If the leads are none, or one twice.
        ConfigError: If there is no such condition.
    """
    if name.startswith("leads-"):
        return lead_subset(name.removeprefix("leads-").split(","))
    known = {standard.name: standard for standard in standard_conditions()}
    if name not in known:
        near = [other for other in known if other.split("-")[0] == name.split("-")[0]]
        raise ConfigError(
            f"conditions: there is no condition {name!r}; there are {', '.join(near or known)}, "
            "and leads-I,V2 for any subset of the leads."
        )
    return known[name]


def _wrong_leads() -> tuple[Condition, ...]:
    limb = (
        Condition(name=f"wrong-{pair.replace('/', '-')}", family="wrong_lead", kind=pair)
        for pair in REVERSALS
    )
    chest = Condition(name="wrong-V1-V2", family="wrong_lead", kind="swap", leads=("V1", "V2"))
    single = (
        Condition(name=f"wrong-{kind}-{lead}", family="wrong_lead", kind=kind, leads=(lead,))
        for kind in ("flat", "noisy")
        for lead in FAULTY_LEADS
    )
    return (*limb, chest, *single)


def _number(value: float) -> str:
    return f"{'minus' if value < 0 else ''}{abs(value):g}"


def _level(condition: Condition) -> float:
    assert condition.level is not None
    return condition.level


def _keep(condition: Condition, record: Record, seed: int) -> Record:
    return record.select(condition.leads)


def _drop(condition: Condition, record: Record, seed: int) -> Record | None:
    kept = [lead for lead in record.leads if lead not in condition.leads]
    return record.select(kept) if kept and len(kept) < len(record.leads) else None


def _wrong(condition: Condition, record: Record, seed: int) -> Record:
    signal, leads = record.signal, record.leads
    if condition.kind in REVERSALS:
        signal = swap_limb_leads(signal, leads=leads, electrodes=cast(LimbPair, condition.kind))
    elif condition.kind == "swap":
        first, second = condition.leads
        signal = swap_leads(signal, leads=leads, first=first, second=second)
    elif condition.kind == "flat":
        signal = flat_lead(signal, leads=leads, lead=condition.leads[0])
    else:
        signal = noisy_lead(
            signal,
            leads=leads,
            lead=condition.leads[0],
            rate_hz=record.sampling_rate_hz,
            snr_db=NOISY_LEAD_SNR_DB,
            rng=generator(seed, "condition", "noisy lead", condition.leads[0], record.record_id),
        )
    return replace(record, signal=signal)


def _noise(condition: Condition, record: Record, seed: int) -> Record:
    signal = NOISES[condition.kind](
        record.signal,
        leads=record.leads,
        rate_hz=record.sampling_rate_hz,
        snr_db=_level(condition),
        rng=generator(seed, "condition", "noise", condition.kind, record.record_id),
    )
    return replace(record, signal=signal)


def _rate(condition: Condition, record: Record, seed: int) -> Record:
    rate_hz = _level(condition)
    signal = resample(record.signal, from_hz=record.sampling_rate_hz, to_hz=rate_hz)
    return replace(record, signal=signal, sampling_rate_hz=rate_hz)


def _duration(condition: Condition, record: Record, seed: int) -> Record | None:
    samples = round(_level(condition) * record.sampling_rate_hz)
    return None if record.samples < samples else replace(record, signal=record.signal[:, :samples])


def _gain(condition: Condition, record: Record, seed: int) -> Record:
    return replace(record, signal=record.signal * np.float32(_level(condition)))


def _offset(condition: Condition, record: Record, seed: int) -> Record:
    return replace(record, signal=record.signal + np.float32(_level(condition)))


_APPLY: Mapping[Family, Callable[[Condition, Record, int], Record | None]] = {
    "clean": lambda condition, record, seed: record,
    "lead_set": _keep,
    "lead_subset": _keep,
    "drop_lead": _drop,
    "wrong_lead": _wrong,
    "noise": _noise,
    "rate": _rate,
    "duration": _duration,
    "gain": _gain,
    "offset": _offset,
}
