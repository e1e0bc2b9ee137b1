"""The trained models that a config names: trunks, teachers, and those whose weights it begins with.

    config = with_prerequisites(config, train_one)        # names of configs become addresses of float models

``model.trunk_model``, ``training.initial_model`` and ``training.teacher.model`` may name a config instead of an
address. Then its run on the same dataset version is taken, and trained first where there is none. A temporal or
multimodal model without a trunk model trains the trunk by its own settings first.
"""

import logging
from collections.abc import Callable

from ml_training.config.loading import config_names, load_config
from ml_training.config.schema import TrainingConfig

logger = logging.getLogger(__name__)

TrainOne = Callable[[TrainingConfig], str]  # trains, or finds the run; returns the model's address


def with_prerequisites(config: TrainingConfig, train_one: TrainOne) -> TrainingConfig:
    """Return the config with addresses in place of names of configs; trains what is not there yet."""
    names = config_names()

    def address(name: str | None, purpose: str) -> str | None:
        if name is None or name not in names:
            return name
        logger.info("%s of %s: the run of %s", purpose, config.model_name, name)
        return train_one(load_config(name))

    model, training = config.model, config.training
    if model.is_head:
        trunk = address(model.trunk_model, "the trunk") or train_one(trunk_config(config))
        model = model.model_copy(update={"trunk_model": trunk})
        return config.model_copy(update={"model": model})
    teacher = training.teacher
    if teacher:
        teacher = teacher.model_copy(update={"model": address(teacher.model, "the teacher")})
    initial = address(training.initial_model, "the beginning")
    training = training.model_copy(update={"initial_model": initial, "teacher": teacher})
    return config.model_copy(update={"training": training})


def trunk_config(config: TrainingConfig) -> TrainingConfig:
    """Return the config of the single-frame model whose trunk a temporal or multimodal model stands on."""
    model = config.model.model_copy(update={"architecture": config.model.trunk, "trunk_model": None})
    return config.model_copy(update={"model": model, "variant": f"{config.variant}-trunk"})
