"""A schedule that goes by the clock forward and by whole days backward.

    @dag(schedule=ByTheClockAndTheDay("17 * * * *", timezone="UTC"))

By the clock a run starts whenever the cron expression says, as with any cron schedule. A backfill (UI, command line,
REST) gets one run a calendar day instead of one a tick: its data interval is that day, both ends of the range are
included, whatever time of the day they name. Days that are not over yet are left to the clock.
"""

from datetime import timedelta

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import DateTime

ONE_DAY = timedelta(days=1)


class ByTheClockAndTheDay(CronTriggerTimetable):
    """A cron schedule whose past is counted in days of its time zone."""

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run by the clock, or the next day of a range.

        Airflow asks with ``restriction.catchup`` when it enumerates the past for a backfill; the scheduler never does
        for a DAG that does not catch up. To the clock a backfilled day is no run: the time just missed stays missed.
        """
        if restriction.catchup and restriction.earliest is not None:
            return self._next_day(restriction.earliest, restriction.latest, last_automated_data_interval)
        last = last_automated_data_interval
        if last is not None and last.end - last.start >= ONE_DAY:
            last = None
        return super().next_dagrun_info(last_automated_data_interval=last, restriction=restriction)

    def _next_day(self, earliest: DateTime, latest: DateTime | None, last: DataInterval | None) -> DagRunInfo | None:
        """Return the run of a day, which bears that day in its name."""
        day = last.end if last else earliest.in_timezone(self._timezone).start_of("day")
        if latest is not None and day > latest:
            return None
        return DagRunInfo(run_after=day, data_interval=DataInterval(day, day + ONE_DAY))
