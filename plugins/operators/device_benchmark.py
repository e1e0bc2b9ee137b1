"""A benchmark on a device as a task that holds no worker while the device measures.

    DeviceBenchmarkOperator.partial(task_id="benchmark_on_device", pool="devices").expand_kwargs(benchmarks)

The command waits a minute: a short measurement is done by then. A longer one goes on detached on the device; the task
is deferred until it should be done and runs the same command again, which finds it there.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import Context
from operators.ml_command import MlCommandOperator

WAIT_SECONDS = 60


class DeviceBenchmarkOperator(MlCommandOperator):
    """Run ``edge.benchmark`` with the options of ``spec``, deferred while the device is at work.

    ``execution_timeout`` bounds each look at the device; the command itself bounds the whole.
    """

    def __init__(self, *, spec: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(module="ml_training.edge.benchmark", spec=spec, **kwargs)

    def execute(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Start the measurement or join it; return its result, or be deferred."""
        self.spec = {"wait": WAIT_SECONDS, **self.spec}
        result = super().execute(context)
        if result.get("state") == "running":
            pause = timedelta(seconds=float(result["look_again_in_seconds"]))
            self.log.info("%s is at work: looking again in %s", self.spec.get("device"), pause)
            self.defer(trigger=TimeDeltaTrigger(pause), method_name="execute")
        return result
