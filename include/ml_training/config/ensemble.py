"""The typed form of an ensemble's YAML file.

read_ensemble(Path("ensemble.yaml")).models

# ensemble.yaml
models: [../models/base-general/1.2.0, ../models/network-cnn/1.0.0]
voting: weighted            # or majority
weights: [2, 1]             # default: all the same
"""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml_training.utils.errors import ConfigError


class EnsembleConfig(BaseModel):
    """Models that vote together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: list[str] = Field(min_length=1)  # folders or files beside the YAML file; URIs; NAME/VERSION in models/
    voting: Literal["weighted", "majority"] = "weighted"
    weights: list[float] | None = None  # one a model; None: all the same

    @model_validator(mode="after")
    def _a_weight_for_each(self) -> Self:
        weights = self.weights
        if weights is not None and (len(weights) != len(self.models) or min(weights) < 0 or not sum(weights)):
            raise ValueError(
                f"weights must be one number of 0 or more for each of the {len(self.models)} models and not all be 0, "
                f"received {weights}"
            )
        return self


def read_ensemble(path: Path) -> EnsembleConfig:
    """Read and check the file. Raises ConfigError with every mistake."""
    try:
        return EnsembleConfig.model_validate(yaml.safe_load(path.read_text()))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no ensemble file {path}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"{path}: {mistakes}; known keys: {', '.join(EnsembleConfig.model_fields)}") from error
