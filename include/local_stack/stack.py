"""Starts all services side by side and keeps watch over them.

with Supervisor(place) as supervisor:
    stack = start_stack(supervisor, place, say)
    stack.api.trigger("ingest_recordings", {})
"""

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

from local_stack.airflow_api import AirflowApi
from local_stack.bucket import Bucket
from local_stack.delivery import prepare_delivery
from local_stack.errors import InputError, StackError, Stopped
from local_stack.ports import choose_ports
from local_stack.services import ADMIN, BUCKET, LOCAL, MLFLOW_BUCKET, Services
from local_stack.settings_file import read_settings_file
from local_stack.supervisor import Service, Supervisor
from local_stack.workplace import Workplace, read_json, write_json

NIGHT_DAGS = ("ingest_recordings", "validate_dataset", "nightly_retraining", "promote_model")
UNFINISHED = ("queued", "running")
DAGS_SECONDS = 90

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stack:
    """The running services."""

    place: Workplace
    services: Services
    supervisor: Supervisor
    api: AirflowApi
    bucket: Bucket

    def addresses(self) -> dict[str, str]:
        """Return the addresses that a person opens."""
        password = self.place.credentials()["password"]
        return {
            "Airflow": f"{self.services.url('airflow')}  login {ADMIN} / {password}",
            "MLflow": self.services.url("mlflow"),
            "data docs": self.services.url("docs"),
        }


def prepare_services(place: Workplace, compute: str = LOCAL) -> Services:
    """Read the settings and choose the ports. Raises InputError before anything has started."""
    settings = read_settings_file(place.root / "airflow_settings.yaml")
    write_json(place.state / "compute.json", compute)
    return Services(place, choose_ports(place), settings, compute)


def known_services(place: Workplace) -> Services:
    """Return the services on the ports of a stack that runs, or ran. Raises InputError where none ever did."""
    ports = read_json(place.state / "ports.json")
    if ports is None:
        raise InputError(f"no stack has run in {place.state} yet: start one with `make run`")
    compute = read_json(place.state / "compute.json", LOCAL)
    return Services(place, ports, read_settings_file(place.root / "airflow_settings.yaml"), compute)


def start_stack(
    supervisor: Supervisor,
    services: Services,
    *,
    say: Say,
    ready: Callable[[], None] = lambda: None,
    beside: Callable[[], None] = lambda: None,
) -> Stack:
    """Start everything that depends on nothing at once, the rest as soon as it can.

    ``ready`` is called when all services answer; ``beside`` runs at the same time as they start. Returns when both are
    done.
    """
    stack = Stack(services.place, services, supervisor, services.api(), Bucket(services.url("s3"), BUCKET))

    def storage() -> None:
        _start_storage(stack, say)
        Bucket(services.url("s3"), MLFLOW_BUCKET).make()
        supervisor.start(services.mlflow())
        prepare_delivery(services.place, partial(_run_command, supervisor, services))  # while the server starts
        _wait(supervisor, services.mlflow(), say)

    def all_services() -> None:
        more = [services.device(), *([] if services.compute == LOCAL else [services.ec2()])]
        beside_storage = [partial(_bring_up, supervisor, service, say) for service in more]
        _all_at_once(supervisor, [storage, partial(_start_airflow, stack, say), *beside_storage])
        _settle(stack)
        ready()

    _all_at_once(supervisor, [all_services, beside])
    return stack


def start_ingestion(supervisor: Supervisor, services: Services, *, say: Say) -> Stack:
    """Start the bucket and Airflow alone: all that ``ingest_recordings`` needs."""
    stack = Stack(services.place, services, supervisor, services.api(), Bucket(services.url("s3"), BUCKET))
    _all_at_once(supervisor, [partial(_start_storage, stack, say), partial(_start_airflow, stack, say)])
    _settle(stack)
    return stack


def _start_storage(stack: Stack, say: Say) -> None:
    _bring_up(stack.supervisor, stack.services.s3(), say)
    stack.bucket.make()


def _start_airflow(stack: Stack, say: Say) -> None:
    _migrate(stack.supervisor, stack.services)
    server, parts = stack.services.airflow_server(), stack.services.airflow_parts()
    for service in [server, *parts]:
        stack.supervisor.start(service)
    for service in [server, *parts]:
        stack.supervisor.wait_ready(service)
        say(f"{service.name} is ready")


def _all_at_once(supervisor: Supervisor, jobs: list[Callable[[], None]]) -> None:
    """Run jobs in threads; when one fails the others are interrupted and its error is raised."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            while wait(futures, timeout=0.2, return_when=FIRST_EXCEPTION).not_done:
                if any(future.done() and future.exception() for future in futures):
                    supervisor.interrupt()
        except BaseException:  # a signal, in the main thread
            supervisor.interrupt()
            raise
    errors = [error for future in futures if (error := future.exception())]
    if errors:
        raise next((error for error in errors if not isinstance(error, Stopped)), errors[0])


def _bring_up(supervisor: Supervisor, service: Service, say: Say) -> None:
    supervisor.start(service)
    _wait(supervisor, service, say)


def _wait(supervisor: Supervisor, service: Service, say: Say) -> None:
    supervisor.wait_ready(service)
    say(f"{service.name} is ready")


def _run_command(supervisor: Supervisor, services: Services, module: str, *arguments: str) -> None:
    command = [str(services.place.python("ml")), "-m", module, *arguments]
    supervisor.run_to_end(f"command-{module.rpartition('.')[2]}", command, services.command_environment)


def _migrate(supervisor: Supervisor, services: Services) -> None:
    """Make the database, or update it when the lock file has changed since."""
    place = services.place
    stamp = place.state / "airflow" / "migrated.json"
    lock = (place.root / "requirements.txt").read_text()
    if (place.state / "airflow" / "airflow.db").is_file() and read_json(stamp) == lock:
        return
    supervisor.run_to_end("airflow-migrate", services.airflow_migrate_command(), services.airflow_environment)
    write_json(stamp, lock)


def _settle(stack: Stack) -> None:
    """End runs that an earlier stop left unfinished, load the pools, wait for the DAGs and let them run."""
    for run in stack.api.runs(states=UNFINISHED):
        stack.api.fail_run(run["dag_id"], run["dag_run_id"], "The local stack stopped while this run was under way.")
    for name, slots, description in stack.services.settings.pools:
        stack.api.set_pool(name, slots, description)
    for _ in range(DAGS_SECONDS * 2):
        dags = stack.api.dags()
        if all(name in dags for name in NIGHT_DAGS):
            break
        if errors := stack.api.import_errors():
            traces = "\n".join(f"{name}:\n{trace}" for name, trace in errors.items())
            raise StackError(f"Airflow cannot import DAG files.\n{traces}")
        stack.supervisor.check()
        stack.supervisor.sleep(0.5)
    else:
        missing = [name for name in NIGHT_DAGS if name not in stack.api.dags()]
        raise StackError(f"Airflow does not show the DAGs {', '.join(missing)} after {DAGS_SECONDS} s")
    for name, paused in dags.items():
        if paused:
            stack.api.unpause(name)
