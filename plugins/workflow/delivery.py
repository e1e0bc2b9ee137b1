"""The tasks that sign and publish what devices get; skipped where no variable names the signing keys."""

from typing import Any

from operators.ml_command import MlCommandOperator

WITHOUT_KEYS = "{{ not var.value.get('adbreak_delivery_keys', '') }}"


def publication(task_id: str, spec: dict[str, Any]) -> MlCommandOperator:
    """Return a task that runs a command of the delivery repository. The keys reach it as a folder's name only."""
    return MlCommandOperator(
        task_id=task_id, module="ml_training.edge.delivery.repository", spec=spec, skip_if=WITHOUT_KEYS
    )
