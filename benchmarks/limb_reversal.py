"""Exchanged limb electrodes on real recordings: how many are found, and how many are falsely suspected.

python benchmarks/limb_reversal.py --data FOLDER --out benchmarks/limb_reversal.json

Every recording is judged as it is and with two of its limb electrodes exchanged by calculation, which for the
limb leads is exact. As they are they count as right, although a few may truly be wrong: specificity is
a lower bound. The signs and limits were chosen with all of these recordings at hand, so
other data sets may do worse. Some recordings of PTB-XL and CPSC 2018 are in the Challenge's folder, too.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from anylead.preparation import Preparation
from anylead.provenance import environment
from anylead.record import Record
from anylead.signal.arm_reversal import ArmSigns, arm_signs
from anylead.signal.lead_faults import REVERSALS, swap_leads, swap_limb_leads
from anylead.sources import SOURCES

FOLDERS = {"ptb-xl": "ptb-xl", "ludb": "ludb", "cinc2020": "cinc2020-cpsc2018", "cinc2021": "cinc2021"}
SIGNS = ("qrs_of_i_down", "p_of_i_down", "qrs_of_avr_up", "i_against_v6")
LONGEST_S = 60.0


def judged(record: Record) -> dict[str, ArmSigns | None]:
    """Returns what each exchange shows, and the recording as it is."""
    rate_hz, leads = record.sampling_rate_hz, record.leads
    signal = record.signal[:, : round(LONGEST_S * rate_hz)]
    shown = {"as recorded": signal, "V1/V2": swap_leads(signal, leads=leads, first="V1", second="V2")}
    shown |= {pair: swap_limb_leads(signal, leads=leads, electrodes=pair) for pair in REVERSALS}
    return {name: arm_signs(some, leads=leads, rate_hz=rate_hz) for name, some in shown.items()}


def share(positive: int, total: int) -> dict[str, object]:
    """Returns a share."""
    return {"of": total, "suspected": positive, "share": round(positive / total, 4)}


def main() -> None:
    """Judges all recordings and writes the shares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    prepare = Preparation.default()
    result: dict[str, object] = {}
    for name, folder in FOLDERS.items():
        source = SOURCES[name]()
        suspected: Counter[str] = Counter()
        signs: dict[str, Counter[str]] = {}
        told = 0
        cannot = 0
        for ref in source.scan(given.data / folder):
            found = judged(prepare(source.load(ref)))
            if any(one is None for one in found.values()):
                cannot += 1
                continue
            told += 1
            for exchange, one in found.items():
                suspected[exchange] += one.suspected
                signs.setdefault(exchange, Counter()).update({s: bool(getattr(one, s)) for s in SIGNS})
        result[name] = {
            "cannot_be_told": cannot,
            **{
                exchange: {
                    **share(suspected[exchange], told),
                    "each_sign": {s: round(signs[exchange][s] / told, 4) for s in SIGNS},
                }
                for exchange in signs
            },
        }
        print(name, told, {exchange: round(suspected[exchange] / told, 3) for exchange in signs}, flush=True)
    given.out.write_text(json.dumps({"suspected": result, "environment": environment()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
