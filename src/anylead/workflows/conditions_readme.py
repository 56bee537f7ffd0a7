"""What stands beside the recordings of `anylead evaluate conditions`, for whoever gets them."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from anylead.evaluation.conditions import NOISY_LEAD_SNR_DB
from anylead.provenance import version
from anylead.signal.noise import DRIFT_BELOW_HZ
from anylead.store import StoreManifest

_TEXT = """\
RECORDINGS UNDER EVERY CONDITION

Each folder holds the same recordings under one condition: fewer leads, wrong leads, noise, another sampling
rate, length, gain or offset. Embed them with your model, hand the embeddings back, and they are judged as
every other model's are.

What is here

conditions.parquet lists every recording once for each condition, with the columns
    condition   name of the condition, which is its folder
    family      clean, lead_set, lead_subset, drop_lead, wrong_lead, noise, rate, duration, gain or offset
    kind        of noise or fault, where there are several
    level       dB, Hz, s, times, mV or number of leads; empty where nothing is graded
    source      data set the recording is from
    record_id   data set and recording; the same in every condition
    path        the WFDB record below this folder, without suffix
    split       train, valid or test
Clean recordings, lead sets and lead subsets are there for all splits: probes are fitted on train, chosen on
valid and judged on test. The other conditions are there for test only. A condition that does not apply to a
recording (a lead is missing, it is too short) has no row for it.

The records are WFDB: a header (.hea) and 16-bit samples (.dat), in millivolts, with missing samples as NaN.
Map leads by name and read the sampling rate of each record: both differ from condition to condition.
    anylead.read("clean/test-000000.hea")         wfdb.rdrecord("clean/test-000000")

What to hand back

One parquet file, one row a recording and condition, in any order, with the columns
    record_id   as in conditions.parquet
    condition   as in conditions.parquet
    embedding   list of floats, equally long in every row
    anylead evaluate embeddings FILE.parquet --store STORE --out REPORT
Conditions may be left out: sections of the report without rows are named as missing. A recording your model
cannot embed may be left out too; it is counted. Labels are not here and are not needed.

What the conditions are

lead-set-N and leads-A,B   only these leads
drop-A                     all leads but A
wrong-LA-RA and the like   limb electrodes exchanged: the leads that follow from it, V1-V6 as they are
wrong-V1-V2                V1 and V2 carry each other's name
wrong-flat-A               0 mV in lead A
wrong-noisy-A              electrode motion in lead A alone, at {noisy:g} dB
noise-KIND-NdB             wander (0.05-0.5 Hz), muscle (20-150 Hz), powerline (50 or 60 Hz) or motion of the
                           electrodes, entering at the electrodes. N is 10 log10 of the power of the signal
                           above {drift:g} Hz over that of the noise, each the mean over the leads. A
                           recording has the same noise at every N, in another size
rate-NHz                   resampled to N Hz with an anti-alias filter
duration-Ns                the first N seconds
gain-xN, offset-NmV        every sample times N, or N mV higher
"""


def readme(finished: Mapping[str, Mapping[str, Any]], stores: Sequence[StoreManifest]) -> str:
    """Returns the text: what is here, how to hand embeddings back, what the conditions are, where it is from.

    Args:
        finished: Name of each condition -> what its marker says: ``written``, ``not_applicable``, ``seed``.
        stores: Where the recordings are from.
    """
    lines = [_TEXT.format(noisy=NOISY_LEAD_SNR_DB, drift=DRIFT_BELOW_HZ), "Recordings", ""]
    width = max(len(name) for name in finished)
    for name, facts in finished.items():
        left_out = f"  (does not apply to {facts['not_applicable']})" if facts["not_applicable"] else ""
        lines.append(f"{name:{width}}  {facts['written']:>7}{left_out}")
    lines += ["", "Where they are from", ""]
    for store in stores:
        steps = ", ".join(step["kind"] for step in store.preparation["steps"]) or "none"
        for fact in (
            f"{store.source}: licence {store.licence}",
            f"Cite: {store.citation}",
            f"Prepared before the conditions by these steps: {steps} (store {store.fingerprint}).",
        ):
            lines += textwrap.wrap(fact, 108, initial_indent="", subsequent_indent="    ")
        lines.append("")
    seeds = sorted({facts["seed"] for facts in finished.values()})
    lines.append(f"Written by anylead {version()}; seed of the noise: {', '.join(map(str, seeds))}.")
    return "\n".join(lines) + "\n"
