"""Judging: metrics with intervals over patients, the probe, hand-made baselines, the report.

Nothing here imports torch.
"""
