"""The door to MLflow's model registry: registered models, their versions, tags and aliases.

    server = RegistryServer.from_settings()
    server.versions("base-general")                          # newest first
    server.resolve("base-general", "champion").semver        # also '3', '1.2.0', 'v1.2.0'

Works with mlflow and with mlflow-skinny; both are imported on first use only. What MLflow refuses is a RegistryError.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.registry.versioning import SemanticVersion, parse_model_name, parse_version
from ml_training.utils.errors import ConfigError, RegistryError, UsageError
from ml_training.utils.records import Record

ALIASES = ("candidate", "challenger", "champion", "previous")
REQUEST_RETRIES = 2  # MLflow's own default is 7 with a growing pause: minutes of silence when its server is down
REQUEST_TIMEOUT_SECONDS = 20


class RegisteredVersion(Record):
    """One version of a registered model. ``version`` is MLflow's own number, as text."""

    name: str
    version: str
    aliases: tuple[str, ...]
    created_at: datetime
    tags: dict[str, str]

    @property
    def semver(self) -> str:
        """The semantic version; empty for a version that something else registered."""
        return self.tags.get("semver", "")

    @property
    def sha256(self) -> str:
        """The SHA-256 of the model file."""
        return self.tags.get("sha256", "")

    @property
    def model_uri(self) -> str:
        """Where the model file is stored."""
        return self.tags.get("model_uri", "")

    @property
    def accepted(self) -> bool:
        """Whether the gates let it pass."""
        return self.tags.get("accepted") == "true"


class RegistryServer:
    """MLflow's registry at ``address``: the URL of a server, or ``sqlite:///...``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = _client(address)

    @classmethod
    def from_settings(cls) -> "RegistryServer":
        """Connect to the server that MLFLOW_TRACKING_URI names. Raises ConfigError when it names none."""
        address = read_settings().mlflow_tracking_uri
        if address is None:
            raise ConfigError("MLFLOW_TRACKING_URI is not set: expected the address of the MLflow server")
        return cls(address)

    def names(self) -> list[str]:
        """Return the registered models that are named as this project names models."""
        with self._errors("listing models"):
            models = _all_pages(self._client.search_registered_models)
        return sorted(model.name for model in models if _is_ours(model.name))

    def versions(self, name: str) -> list[RegisteredVersion]:
        """Return every version of ``name``, newest first; none for a name that is not registered."""
        parse_model_name(name)
        with self._errors(f"listing the versions of {name}"):
            found = _all_pages(self._client.search_model_versions, filter_string=f"name='{name}'")
            aliases = self._aliases(name) if found else {}
        versions = [_describe(item, aliases) for item in found]
        return sorted(versions, key=lambda item: int(item.version), reverse=True)

    def by_alias(self, name: str, alias: str) -> RegisteredVersion | None:
        """Return the version that ``alias`` points to, if it points to any."""
        return next((item for item in self.versions(name) if alias in item.aliases), None)

    def resolve(self, name: str, wanted: str) -> RegisteredVersion:
        """Find a version by alias, semantic version or MLflow's number.

        Raises RegistryError that lists what is there.
        """
        versions = self.versions(name)
        semver = str(parse_version(wanted)) if "." in wanted else None
        for item in versions:
            if wanted in (item.version, *item.aliases) or (semver is not None and semver == item.semver):
                return item
        there = ", ".join(f"{item.semver} ({'/'.join([item.version, *item.aliases])})" for item in versions[:10])
        raise RegistryError(f"{name} has no version {wanted!r}; there is: {there or 'none'}", name=name, wanted=wanted)

    def create(self, name: str, *, source: str, run_id: str | None, tags: Mapping[str, str]) -> RegisteredVersion:
        """Register a new version, and the name with its first."""
        with self._errors(f"registering {name}"):
            self._create_name(name)
            created = self._client.create_model_version(name, source=source, run_id=run_id, tags=dict(tags))
        return _describe(created, {})

    def set_tags(self, item: RegisteredVersion, tags: Mapping[str, str]) -> None:
        """Set tags of one version; those that are as they should be cost nothing."""
        with self._errors(f"tagging {item.name} {item.version}"):
            for key, value in tags.items():
                if item.tags.get(key) != value:
                    self._client.set_model_version_tag(item.name, item.version, key, value)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point ``alias`` to a version, wherever it pointed before."""
        with self._errors(f"setting {alias} of {name}"):
            self._client.set_registered_model_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        """Take ``alias`` away; one that is not there is no error."""
        with self._errors(f"removing {alias} of {name}"):
            self._client.delete_registered_model_alias(name, alias)

    def _aliases(self, name: str) -> dict[str, str]:
        return {alias: str(version) for alias, version in self._client.get_registered_model(name).aliases.items()}

    def _create_name(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _errors(self, what: str) -> AbstractContextManager[None]:
        return registry_errors(what, self.address)


@contextmanager
def registry_errors(what: str, address: str) -> Iterator[None]:
    """Turn what MLflow refuses into a RegistryError."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        text = str(error)
        if "API request to" in text and "failed with" in text:
            text = "is the MLflow server running there? " + text.splitlines()[0][:300]
        raise RegistryError(f"{what} at {address} failed: {text}", address=address) from error


def _client(address: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    from mlflow import MlflowClient
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

    for variable, value in (
        (MLFLOW_HTTP_REQUEST_MAX_RETRIES, REQUEST_RETRIES),
        (MLFLOW_HTTP_REQUEST_TIMEOUT, REQUEST_TIMEOUT_SECONDS),
    ):
        if not variable.is_set():
            variable.set(value)
    return MlflowClient(address, address)


def _all_pages(search: Any, **query: Any) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = search(page_token=token, **query)
        found += page
        token = page.token
        if not token:
            return found


def _describe(item: Any, aliases: Mapping[str, str]) -> RegisteredVersion:
    number = str(item.version)
    return RegisteredVersion(
        name=item.name,
        version=number,
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == number)),
        created_at=datetime.fromtimestamp(item.creation_timestamp / 1000, UTC),
        tags=dict(item.tags),
    )


def _is_ours(name: str) -> bool:
    try:
        parse_model_name(name)
    except UsageError:
        return False
    return True


def semantic_versions(versions: list[RegisteredVersion]) -> list[SemanticVersion]:
    """Return the semantic versions of those that have one."""
    return [parse_version(item.semver) for item in versions if item.semver]
