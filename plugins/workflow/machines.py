"""A training between the task that writes its job down and the one that ends its machine.

    machine, training = train_on_a_machine(spec=spec, skip_if=DRY_RUN, map_label=config, execution_timeout=...)
    validated >> machine >> training >> evaluated

Where the variable ``adbreak_compute`` says ``local``, the two beside it do nothing.
"""

from datetime import timedelta
from typing import Any

from operators.spot_training import SpotTrainingOperator, TrainingMachineEndedOperator, TrainingMachineOperator

TRAINING = "training"
MACHINE = "training_machine"
ENDED = "training_machine_ended"
RETRIES: dict[str, Any] = {"retries": 3, "execution_timeout": timedelta(minutes=15)}


def train_on_a_machine(
    *, spec: Any, skip_if: str, map_label: str, map_index_template: str, **training_only: Any
) -> tuple[TrainingMachineOperator, SpotTrainingOperator]:
    """Return the setup and the training; the teardown hangs between them and what follows, and nobody waits for it."""
    label = {"map_label": map_label, "map_index_template": map_index_template}
    shared = {"module": "ml_training.training.train", "spec": spec, "skip_if": skip_if, **label}
    machine = TrainingMachineOperator(task_id=MACHINE, training=TRAINING, **shared, **RETRIES)
    training = SpotTrainingOperator(task_id=TRAINING, machine=MACHINE, **shared, **training_only)
    ended = TrainingMachineEndedOperator(task_id=ENDED, training=TRAINING, machine=MACHINE, **label, **RETRIES)
    machine >> training >> ended.as_teardown(setups=machine, on_failure_fail_dagrun=True)
    return machine, training
