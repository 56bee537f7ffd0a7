"""The leakage part: who and what is in two places."""

from anylead.evaluation.audit_section import audit_section
from anylead.workflows.audit import AuditConfig, audit
from anylead.workflows.suite.config import SuiteConfig
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.parts import Part
from anylead.workflows.systems import bundle_folder


def leakage_part(contest: Contest) -> Part:
    """Looks for patients and recordings shared by pre-training, training, validation and test.

    Raises:
        ConfigError: If a store cannot be audited.
    """
    config = contest.config
    found = audit(
        AuditConfig(
            stores=config.stores,
            pretraining_stores=config.pretraining_stores,
            bundle=bundle_folder(config.bundles[0]) if isinstance(config, SuiteConfig) else None,
            progress=config.progress,
        )
    )
    return Part(sections=(audit_section(found),), results=(found,), headlines=(found.headline,))
