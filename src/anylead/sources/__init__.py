"""Public data sets, one a file: where the files, the labels and the patients are."""

from typing import get_args

from anylead.sources.base import Labels, RecordRef, Source
from anylead.sources.cinc2020 import Cinc2020
from anylead.sources.cinc2021 import Cinc2021
from anylead.sources.ecg_id import EcgId
from anylead.sources.files import Files
from anylead.sources.ludb import Ludb
from anylead.sources.ptb_xl import PtbXl
from anylead.sources.synthetic import Synthetic

__all__ = ["SOURCES", "AnySource", "Labels", "RecordRef", "Source"]

AnySource = PtbXl | Cinc2021 | Cinc2020 | Ludb | EcgId | Files | Synthetic
"""Every data set anylead reads."""

SOURCES: dict[str, type[Source]] = {source.name: source for source in get_args(AnySource)}
"""Name -> class."""
