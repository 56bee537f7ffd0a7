"""A small configuration of every pre-training objective, for contract tests and real processes."""

from anylead.objectives import (
    AdversarialMaskingConfig,
    BYOLConfig,
    CLOCSConfig,
    CMSCConfig,
    CPCConfig,
    CRLCConfig,
    Data2VecConfig,
    HeartLangConfig,
    HuBERTConfig,
    JEPAGridConfig,
    JEPATimeConfig,
    MaskedLeadConfig,
    MaskedTimeConfig,
    SimCLRConfig,
    STMEMConfig,
    ThreeKGConfig,
    VICRegConfig,
    W2VCMSCConfig,
    W2VConfig,
)

GRID = "lead_time_transformer"
ON_LEAD_TOKENS = {"jepa_grid", "st_mem"}
PREDICTOR = {"predictor_width": 16, "predictor_layers": 1, "predictor_heads": 2}
DECODER = {"decoder_width": 16, "decoder_layers": 1, "decoder_heads": 2}
W2V_SIZE = {"entries": 8, "final_dimension": 16, "negatives": 10, "feature_dropout": 0.0}
SMALL = {
    "adversarial_masking": AdversarialMaskingConfig(projector=(16, 8), generator_width=8),
    "byol": BYOLConfig(projector=(16, 8), predictor=16),
    "clocs": CLOCSConfig(),
    "cmsc": CMSCConfig(),
    "cpc": CPCConfig(steps_ahead=3, negatives=10),
    "crlc": CRLCConfig(projector=(16, 8)),
    "data2vec": Data2VecConfig(),
    "heartlang": HeartLangConfig(codebook_fraction=0.4, codes=16, code_dimension=8, beat_width=16),
    "hubert": HuBERTConfig(codes=(6, 8), round_starts=(0.8,), fitting_share=0.4, span=2, final_dimension=16),
    "jepa_grid": JEPAGridConfig(**PREDICTOR),
    "jepa_time": JEPATimeConfig(**PREDICTOR, span=2),
    "masked_lead": MaskedLeadConfig(decoder_width=16),
    "masked_time": MaskedTimeConfig(**DECODER),
    "simclr": SimCLRConfig(),
    "st_mem": STMEMConfig(**DECODER),
    "threekg": ThreeKGConfig(),
    "vicreg": VICRegConfig(projector=(16, 16)),
    "w2v": W2VConfig(**W2V_SIZE),
    "w2v_cmsc": W2VCMSCConfig(**W2V_SIZE),
}
CAUSAL = {"cpc"}
"""Objectives that need an encoder which sees the past only."""
