"""Training: a config and clips (a published set, a prepared store, or practice forgeries of real clips) -> a model.

`load_run_config` reads the config, `open_data` the clips, `train` does the work, `fit_threshold` fits the threshold.
Every step is a function of the seed and its number, whatever the workers: a run that was killed goes on exactly where
its last state was. What this package does not know: how results are rated (`fakespan.evaluate`) and told (the CLI).
"""

from fakespan.train.config import ClipsConfig, RunConfig, TrainConfig, config_text, load_run_config
from fakespan.train.data import TrainingData, open_data, practice_data, set_data
from fakespan.train.practice import PracticeSet, find_clips, load_clips
from fakespan.train.run import fit_threshold, is_first_process, train

__all__ = [
    "ClipsConfig",
    "PracticeSet",
    "RunConfig",
    "TrainConfig",
    "TrainingData",
    "config_text",
    "find_clips",
    "fit_threshold",
    "is_first_process",
    "load_clips",
    "load_run_config",
    "open_data",
    "practice_data",
    "set_data",
    "train",
]
