"""Trains a model from a config and clips (a published data set, a prepared store, or practice forgeries).

`load_run_config` reads the config, `open_data` the clips, `train` runs the training, `fit_threshold` fits the
threshold. Every step is a function of the seed and its number, independent of the workers: an interrupted run resumes
exactly from its last state. Evaluation is in `fakespan.evaluate`, output in the CLI.
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
