"""The fence: of several machines that were sent for one job, only the newest writes results.

require_newest_attempt()          # before a checkpoint or a model is stored; raises Superseded
"""

from ml_training.cloud.jobs import Job
from ml_training.config.settings import read_settings


def require_newest_attempt() -> None:
    """Raise Superseded when this process is an older attempt at a job; outside of a job there is nothing to ask."""
    settings = read_settings()
    if settings.job and settings.attempt:
        Job(settings.job).require_newest(settings.attempt)
