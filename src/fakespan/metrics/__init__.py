"""Metrics of proposals and scores: average precision, average recall, AUC, and binary classification.

Proposals are a mapping from a video's name to (n, 3) score, begin, end in seconds; labels a mapping from its name to
(m, 2) start and end of its forged spans, with m = 0 for a real one. The evaluated videos are those of `labels`: a video
without proposals has an empty list, and proposals of other videos are ignored (so a subset is defined by its labels
alone). `Proposals` and `Labels` are such mappings in a flat layout, for speed. Independent of file formats.

Definitions: LAV-DF (arXiv 2204.06228, section 5.1), as the published evaluator computes them, in float32.

    flat          Proposals and Labels of many videos, concatenated
    pairs         overlapping pairs of proposals and labels, shared by all metrics
    precision     AP, as published and as ActivityNet      recall      AR      ranking    AUC
    binary        video-level scores: ROC, EER, AP, decisions, calibration
    places        rank of a score among all
    hit_counts    fast AP of resampled videos                bootstrap  intervals over videos
    poisson       exact intervals of counts
"""

from fakespan.metrics.bootstrap import bootstrap_interval
from fakespan.metrics.flat import Labels, Proposals
from fakespan.metrics.pairs import Pairs
from fakespan.metrics.precision import Matches, activitynet_average_precision, average_precision, match_proposals
from fakespan.metrics.ranking import auc
from fakespan.metrics.recall import average_recall

__all__ = [
    "Labels",
    "Matches",
    "Pairs",
    "Proposals",
    "activitynet_average_precision",
    "auc",
    "average_precision",
    "average_recall",
    "bootstrap_interval",
    "match_proposals",
]
