"""Pre-training objectives. Adding one: its file, its lines in the union and `OBJECTIVES`, one test."""

from anylead.encoders.base import Encoder
from anylead.nn.loss import Loss, Progress
from anylead.objectives.adversarial_masking import AdversarialMasking, AdversarialMaskingConfig
from anylead.objectives.base import Objective
from anylead.objectives.byol import BYOL, BYOLConfig
from anylead.objectives.clocs import CLOCS, CLOCSConfig
from anylead.objectives.cmsc import CMSC, CMSCConfig
from anylead.objectives.cpc import CPC, CPCConfig
from anylead.objectives.crlc import CRLC, CRLCConfig
from anylead.objectives.data2vec import Data2Vec, Data2VecConfig
from anylead.objectives.heartlang import HeartLang, HeartLangConfig
from anylead.objectives.hubert import HuBERT, HuBERTConfig
from anylead.objectives.jepa_grid import JEPAGrid, JEPAGridConfig
from anylead.objectives.jepa_time import JEPATime, JEPATimeConfig
from anylead.objectives.masked_lead import MaskedLead, MaskedLeadConfig
from anylead.objectives.masked_time import MaskedTime, MaskedTimeConfig
from anylead.objectives.simclr import SimCLR, SimCLRConfig
from anylead.objectives.st_mem import STMEM, STMEMConfig
from anylead.objectives.threekg import ThreeKG, ThreeKGConfig
from anylead.objectives.vicreg import VICReg, VICRegConfig
from anylead.objectives.w2v import W2V, W2VConfig
from anylead.objectives.w2v_cmsc import W2VCMSC, W2VCMSCConfig

AnyObjectiveConfig = (
    AdversarialMaskingConfig
    | BYOLConfig
    | CLOCSConfig
    | CMSCConfig
    | CPCConfig
    | CRLCConfig
    | Data2VecConfig
    | HeartLangConfig
    | HuBERTConfig
    | JEPAGridConfig
    | JEPATimeConfig
    | MaskedLeadConfig
    | MaskedTimeConfig
    | SimCLRConfig
    | STMEMConfig
    | ThreeKGConfig
    | VICRegConfig
    | W2VConfig
    | W2VCMSCConfig
)
"""Union of every objective's configuration; the field ``kind`` tells them apart."""

OBJECTIVES: dict[str, tuple[type[AnyObjectiveConfig], type[Objective]]] = {
    "adversarial_masking": (AdversarialMaskingConfig, AdversarialMasking),
    "byol": (BYOLConfig, BYOL),
    "clocs": (CLOCSConfig, CLOCS),
    "cmsc": (CMSCConfig, CMSC),
    "cpc": (CPCConfig, CPC),
    "crlc": (CRLCConfig, CRLC),
    "data2vec": (Data2VecConfig, Data2Vec),
    "heartlang": (HeartLangConfig, HeartLang),
    "hubert": (HuBERTConfig, HuBERT),
    "jepa_grid": (JEPAGridConfig, JEPAGrid),
    "jepa_time": (JEPATimeConfig, JEPATime),
    "masked_lead": (MaskedLeadConfig, MaskedLead),
    "masked_time": (MaskedTimeConfig, MaskedTime),
    "simclr": (SimCLRConfig, SimCLR),
    "st_mem": (STMEMConfig, STMEM),
    "threekg": (ThreeKGConfig, ThreeKG),
    "vicreg": (VICRegConfig, VICReg),
    "w2v": (W2VConfig, W2V),
    "w2v_cmsc": (W2VCMSCConfig, W2VCMSC),
}
"""Kind -> configuration and class."""


def build_objective(config: AnyObjectiveConfig, encoder: Encoder) -> Objective:
    """Builds the objective that a configuration describes, for an encoder.

    Raises:
        ConfigError: If the objective needs what the encoder does not have.
    """
    objective: Objective = OBJECTIVES[config.kind][1](config, encoder)
    return objective


__all__ = [
    "BYOL",
    "CLOCS",
    "CMSC",
    "CPC",
    "CRLC",
    "OBJECTIVES",
    "STMEM",
    "W2V",
    "W2VCMSC",
    "AdversarialMasking",
    "AdversarialMaskingConfig",
    "AnyObjectiveConfig",
    "BYOLConfig",
    "CLOCSConfig",
    "CMSCConfig",
    "CPCConfig",
    "CRLCConfig",
    "Data2Vec",
    "Data2VecConfig",
    "HeartLang",
    "HeartLangConfig",
    "HuBERT",
    "HuBERTConfig",
    "JEPAGrid",
    "JEPAGridConfig",
    "JEPATime",
    "JEPATimeConfig",
    "Loss",
    "MaskedLead",
    "MaskedLeadConfig",
    "MaskedTime",
    "MaskedTimeConfig",
    "Objective",
    "Progress",
    "STMEMConfig",
    "SimCLR",
    "SimCLRConfig",
    "ThreeKG",
    "ThreeKGConfig",
    "VICReg",
    "VICRegConfig",
    "W2VCMSCConfig",
    "W2VConfig",
    "build_objective",
]
