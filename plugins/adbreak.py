"""What Airflow must know of this project beside its DAGs: the schedule of our own."""

from airflow.plugins_manager import AirflowPlugin
from workflow.timetables import ByTheClockAndTheDay


class AdbreakPlugin(AirflowPlugin):
    """Found by every process of Airflow that reads a DAG's schedule."""

    name = "adbreak"
    timetables = [ByTheClockAndTheDay]  # noqa: RUF012 (read by Airflow as it is)
