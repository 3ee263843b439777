"""Training on practice forgeries: a folder of real clips and one config file -> a checkpoint.

Every example is a function of the seed and its number, whatever the workers. A run's folder holds the config, the log
(CSV) and the checkpoint; a loss that is not finite stops the run with the names of the batch's clips.
"""

from fakespan.train.config import ClipsConfig, RunConfig, TrainConfig, load_run_config
from fakespan.train.practice import PracticeSet, find_clips, load_clips
from fakespan.train.run import fit_threshold, train

__all__ = [
    "ClipsConfig",
    "PracticeSet",
    "RunConfig",
    "TrainConfig",
    "find_clips",
    "fit_threshold",
    "load_clips",
    "load_run_config",
    "train",
]
