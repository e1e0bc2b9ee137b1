"""The errors that a person can mend, in one tree.

    AdbreakError                 exit 1: the work failed
    ├── UsageError               exit 2: the command was called wrongly
    │   └── ConfigError          a configuration file or an environment variable is wrong
    ├── StorageError             the bucket or the disk refused
    │   ├── ObjectNotFound
    │   ├── ObjectExists         a conditional write met an object that is already there
    │   └── ObjectChanged        a conditional write met another version than the one that it was to replace
    ├── DataError                what was read is not what it should be
    │   ├── RecordingUnreadable
    │   ├── LabelsInvalid
    │   ├── DatasetUnusable
    │   └── ValidationFailed
    ├── ModelError               a model file, its card or its weights do not fit
    ├── TooLittleMemory          a training step does not fit
    ├── DeviceError              a device cannot be reached or answers nonsense
    │   └── DeviceUnreachable    nothing answers there, or the connection dropped: perhaps later
    ├── DeliveryError            signed delivery refuses: a key, a signature, a file that is not the named one
    │   ├── RolloutError         the document that says which device gets what breaks its form
    │   ├── PublishConflict      another publisher was faster, and again
    │   ├── UpdateRefused        a device does not take what it is offered
    │   └── DeliveryUnreachable  nothing answers, or the day's bytes are used up: later
    ├── CloudError               the cloud's API refused, or gave what was not expected
    │   ├── NoCapacity           no machine is to be had now, of any candidate
    │   ├── CloudMisconfigured   a role, quota, image, network or type is wrong: asking again does not help
    │   └── CloudUnreachable     the API does not answer: nothing is known
    ├── JobError                 a job's record is missing, of another version, or says that it failed
    │   └── Superseded           a later attempt has taken over
    └── RegistryError            a model version or an alias is not there

Every message says what was expected, what came, and what to do. The facts travel as attributes:

    raise RecordingUnreadable("no video stream in a.ts: expected ...", uri="s3://...", tool_output="...")
"""

from typing import Any


class AdbreakError(Exception):
    """Base of all errors that end a command with a message instead of a traceback."""

    exit_code = 1

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(name)


class UsageError(AdbreakError):
    """The command was called wrongly."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file or an environment variable is wrong."""


class StorageError(AdbreakError):
    """The bucket or the disk refused."""


class ObjectNotFound(StorageError):
    """Nothing is stored at this address."""


class ObjectExists(StorageError):
    """A conditional write met an object that is already there."""


class ObjectChanged(StorageError):
    """A conditional write met another version than the one that it was to replace."""


class DataError(AdbreakError):
    """What was read is not what it should be."""


class RecordingUnreadable(DataError):
    """A recording yields no frames."""


class LabelsInvalid(DataError):
    """Labels contradict themselves or the recording that they name."""


class DatasetUnusable(DataError):
    """A dataset version cannot train or judge a model."""


class ValidationFailed(DataError):
    """An expectation of severity ``stop`` does not hold."""


class ModelError(AdbreakError):
    """A model file, its card or its weights do not fit."""


class TooLittleMemory(AdbreakError):
    """A training step does not fit into the memory that is free."""


class DeviceError(AdbreakError):
    """A device cannot be reached or answers nonsense."""


class DeviceUnreachable(DeviceError):
    """Nothing answers there, or the connection dropped: it may be there again later."""


class DeliveryError(AdbreakError):
    """Signed delivery refuses: a key is missing, a signature is wrong, a file is not the one that was named."""


class RolloutError(DeliveryError):
    """The document that says which device gets what breaks its form."""


class PublishConflict(DeliveryError):
    """Another publisher was faster, and again."""


class UpdateRefused(DeliveryError):
    """A device does not take what it is offered; ``kind`` is for programs, the message for people."""


class DeliveryUnreachable(DeliveryError):
    """Nothing answers, or the bytes of the day are used up: it goes on later."""


class CloudError(AdbreakError):
    """The cloud's API refused, or gave what was not expected."""


class NoCapacity(CloudError):
    """No machine is to be had now, of any candidate."""


class CloudMisconfigured(CloudError):
    """A role, a quota, an image, a network or a type is wrong: asking again does not help."""

    exit_code = 2


class CloudUnreachable(CloudError):
    """The API does not answer: nothing is known of any machine."""


class JobError(AdbreakError):
    """A job's record is missing, of another version, or says that it failed."""


class Superseded(JobError):
    """A later attempt has taken over."""


class RegistryError(AdbreakError):
    """A model version or an alias is not there."""
