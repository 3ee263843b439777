"""Trains a model from a config and clips (a published data set, a prepared store, or banks).

`load_run_config` reads the config, `open_data` the clips, `train` runs the training, `fit_threshold` fits the
threshold. Every step is a function of the seed and its number, independent of the workers: an interrupted run resumes
exactly from its last state. Evaluation is in `fakespan.evaluate`, output in the CLI.
"""

from fakespan.train.config import RunConfig, TrainConfig, config_text, load_run_config
from fakespan.train.data import TrainingData, bank_data, open_data, set_data
from fakespan.train.run import fit_threshold, is_first_process, train

__all__ = [
    "RunConfig",
    "TrainConfig",
    "TrainingData",
    "bank_data",
    "config_text",
    "fit_threshold",
    "is_first_process",
    "load_run_config",
    "open_data",
    "set_data",
    "train",
]
