"""The operator that runs a command of ``ml_training`` as a task.

    train = MlCommandOperator(
        task_id="training",
        module="ml_training.training.train",
        spec={"config": "base_model", "dataset": dataset.output["dataset_id"], "epochs": None},
        execution_timeout=timedelta(hours=6),
    )
    train.output["run_uri"]      # a field of the JSON object that the command prints

The spec reaches the command in the environment variable ``ADBREAK_SPEC``, so nothing is spliced into a shell line;
credentials reach it from Airflow's connections (``operators.command_environment``). Its log is live. When the task is
cleared, marked, timed out or killed, the whole process group ends (``operators.command_process``).

Exit code 2 (called wrongly, wrong configuration) fails the task at once; every other failure may be retried.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from operators.command_environment import command_environment
from operators.command_process import GRACE_SECONDS, CommandProcess

SPEC_VARIABLE = "ADBREAK_SPEC"
CALLED_WRONGLY = 2
LARGEST_SPEC_BYTES = 128_000  # Linux refuses an environment variable of 128 KiB
LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")


class MlCommandOperator(BaseOperator):
    """Run ``python -m module --json`` with the options of ``spec``; the result's fields become XComs.

    ``environment`` says which Python: ``ml`` (the one that the worker's ``ADBREAK_ML_PYTHON`` names) or ``airflow``
    (the worker's own). ``skip_if`` skips the task when it renders to something true. ``map_label`` is free text for
    ``map_index_template``. A spec that names a ``device`` gets that device's connection.
    """

    template_fields: Sequence[str] = ("module", "spec", "skip_if", "map_label")
    template_fields_renderers = {"spec": "json"}  # noqa: RUF012 (read by Airflow as it is)
    ui_color = "#e6f2e6"

    def __init__(
        self,
        *,
        module: str,
        spec: Mapping[str, Any],
        environment: Literal["ml", "airflow"] = "ml",
        skip_if: Any = False,
        map_label: str = "",
        grace_seconds: float = GRACE_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True, **kwargs})
        self.module = module
        self.spec = spec
        self.environment = environment
        self.skip_if = skip_if
        self.map_label = map_label
        self.grace_seconds = grace_seconds
        self._command: CommandProcess | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command. Raises AirflowFailException for exit code 2, AirflowException for any other but 0."""
        if is_true(self.skip_if):
            raise AirflowSkipException(f"{self.task_id} is left out of this run")
        arguments = [self._python(), "-m", self.module, "--json", "--spec-from-env"]
        environment = {**command_environment(self.spec), SPEC_VARIABLE: self._spec_text()}
        self.log.info("%s %s", self.module, environment[SPEC_VARIABLE])
        command = CommandProcess(arguments, environment, say=self._say, grace_seconds=self.grace_seconds)
        self._command = command
        with command:
            exit_code = command.run()
        if exit_code != 0:
            kind = AirflowFailException if exit_code == CALLED_WRONGLY else AirflowException
            raise kind(f"{self.module} {_ending(exit_code)}\n{failure_message(command.error_tail)}")
        return self._result(command.last_output)

    def on_kill(self) -> None:
        """End the command's whole process group."""
        if self._command is not None:
            self._command.stop()

    def _python(self) -> str:
        if self.environment == "airflow":
            return sys.executable
        python = os.environ.get("ADBREAK_ML_PYTHON")
        if not python:
            raise AirflowFailException(
                "the worker's environment must name the Python of the ML environment in ADBREAK_ML_PYTHON"
            )
        return python

    def _spec_text(self) -> str:
        text = json.dumps(self.spec)
        if len(text.encode()) > LARGEST_SPEC_BYTES:
            raise AirflowFailException(
                f"the spec has {len(text.encode())} bytes, at most {LARGEST_SPEC_BYTES} fit into a variable: "
                "give each task fewer items"
            )
        return text

    def _say(self, stream: str, line: str) -> None:
        log_line(self.log, stream, line)

    def _result(self, line: str) -> dict[str, Any]:
        try:
            result = json.loads(line)
        except ValueError as error:
            raise AirflowException(f"{self.module} must end with one line of JSON, received {line[:200]!r}") from error
        if not isinstance(result, dict):
            raise AirflowException(f"{self.module} must print a JSON object, received {type(result).__name__}")
        return result


def is_true(value: Any) -> bool:
    """Tell whether a rendered template means yes: ``"False"``, ``"None"``, ``"0"`` and ``""`` do not."""
    return str(value).strip().lower() not in ("", "false", "none", "0", "[]", "{}")


def log_line(log: Any, stream: str, line: str) -> None:
    """Log what a command wrote, at the level that it names."""
    match = LOG_LINE.match(line) if stream == "stderr" else None
    log.log(LEVELS[match[1]] if match else (40 if line.startswith("error: ") else 20), "%s", line)


def failure_message(lines: Sequence[str]) -> str:
    """Return what the command said last: from its final ``error:`` line on, else its last lines."""
    starts = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    return "\n".join(lines[starts[-1] :] if starts else lines[-5:])


def _ending(exit_code: int) -> str:
    return f"was ended by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
