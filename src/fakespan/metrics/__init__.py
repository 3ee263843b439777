"""How well proposals and scores match the truth: AP at an IoU, AR at a number of proposals, AUC.

Proposals are a mapping from a video's name to (n, 3) score, begin, end in seconds; labels a mapping from its name to
(m, 2) start and end of its forged spans, with m = 0 for a real one. The videos rated are those of `labels`: one without
proposals counts as one in which nothing was found, and proposals of other videos are left out (so a subset is chosen by
the labels alone). `Proposals` and `Labels` are such mappings laid out flat, for speed. Files are not known here.

Definitions: LAV-DF (arXiv 2204.06228, section 5.1), as the published evaluator computes them, in float32.

    flat          Proposals and Labels of many videos, end to end
    pairs         which proposals overlap which labels, once for all metrics
    precision     AP, the published way and ActivityNet's      recall      AR      ranking    AUC
    binary        what one score for a whole video is worth: ROC, EER, AP, decisions, calibration
    places        where a score stands among all
    hit_counts    AP of any draw of the videos, cheaply          bootstrap  intervals over videos
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
