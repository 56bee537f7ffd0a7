"""Public data sets, one a file: where the files, the labels and the patients are."""

from typing import get_args

from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.chapman_csv import ChapmanCsv
from anylead.sources.cinc2020 import Cinc2020
from anylead.sources.cinc2021 import Cinc2021
from anylead.sources.code_15 import Code15
from anylead.sources.cpsc2018 import Cpsc2018
from anylead.sources.ecg_arrhythmia import EcgArrhythmia
from anylead.sources.ecg_id import EcgId
from anylead.sources.files import Files
from anylead.sources.georgia import Georgia
from anylead.sources.heartprint import Heartprint
from anylead.sources.incartdb import Incartdb
from anylead.sources.ludb import Ludb
from anylead.sources.mimic_iv_ecg import MimicIvEcg
from anylead.sources.mitdb import Mitdb
from anylead.sources.ningbo_csv import NingboCsv
from anylead.sources.ptb_xl import PtbXl
from anylead.sources.ptbdb import Ptbdb
from anylead.sources.sph import Sph
from anylead.sources.synthetic import Synthetic

__all__ = ["SOURCES", "AnySource", "Facts", "Labels", "RecordRef", "Source"]

AnySource = (
    PtbXl
    | Cinc2021
    | Cinc2020
    | Cpsc2018
    | Georgia
    | EcgArrhythmia
    | ChapmanCsv
    | NingboCsv
    | Ptbdb
    | Incartdb
    | Mitdb
    | MimicIvEcg
    | Code15
    | Sph
    | Ludb
    | EcgId
    | Heartprint
    | Files
    | Synthetic
)
"""Every data set anylead reads."""

SOURCES: dict[str, type[Source]] = {source.name: source for source in get_args(AnySource)}
"""Name -> class."""
