"""Evaluation of a localizer on published data sets and prepared stores.

Proposals are scored by `fakespan.scoring`, which needs no torch.
"""

from fakespan.evaluate.run import Evaluation, SetOptions, evaluate_set

__all__ = ["Evaluation", "SetOptions", "evaluate_set"]
