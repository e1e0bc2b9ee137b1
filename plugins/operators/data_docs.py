"""A validation as a task, with a link to its data docs.

ValidationOperator(task_id="validate_frames", suite="frames", recordings=[...])
ValidationOperator(task_id="validate_version", suite="dataset", scope={"dataset": "4be1…", "reference": "99ab…"})
"""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink, Variable
from operators.command_environment import data_root
from operators.ml_command import MlCommandOperator


class DataDocsLink(BaseOperatorLink):
    """Where the data docs are served (variable ``adbreak_data_docs_url``), else their address in the bucket."""

    name = "Data docs"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address; asked for when a task ends, also when it failed."""
        return Variable.get("adbreak_data_docs_url", default=None) or f"{data_root()}/validation/data_docs/index.html"


class ValidationOperator(MlCommandOperator):
    """Run one suite of Great Expectations over these recordings (none: all), or what ``scope`` names.

    Not retried: it would fail again.
    """

    operator_extra_links = (DataDocsLink(),)

    def __init__(
        self,
        *,
        suite: str,
        recordings: Sequence[str] | Any = None,
        scope: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        spec = {"command": "run", "suite": suite, "recordings": recordings, **(scope or {})}
        super().__init__(module="ml_training.data.validation", spec=spec, **{**kwargs, "retries": 0})
