"""The one S3 client of a process, what its errors mean, and reading that survives a connection that breaks.

    with s3_errors("s3://adbreak/recordings/a.ts"):          # ObjectNotFound, ObjectExists, StorageError
        data, version = get_object(Bucket="adbreak", Key="recordings/a.ts")

``cloud.storage`` stands before it; what it has no word for (permissions for others) may use the client itself. The SDK
repeats a request that failed, but not the reading of an answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.utils.errors import ObjectExists, ObjectNotFound, StorageError

MISSING_CODES = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
CONNECT_SECONDS = 10
READINGS = 4  # of one answer


@lru_cache(maxsize=1)
def client() -> Any:
    """Return the client, with the address and the patience that the environment says."""
    import boto3
    from botocore.config import Config

    attempts = read_settings().storage_attempts
    config = Config(retries={"mode": "standard", "max_attempts": attempts}, connect_timeout=CONNECT_SECONDS)
    return boto3.client("s3", config=config.merge(Config(s3={"addressing_style": "path"})))


def get_object(**wanted: Any) -> tuple[bytes, str]:
    """Return the bytes of an object, or of a range of it, and its ETag; asks again when the connection breaks."""
    from botocore.exceptions import BotoCoreError

    for left in reversed(range(READINGS)):
        answer = client().get_object(**wanted)
        try:
            return bytes(answer["Body"].read()), answer["ETag"].strip('"')
        except BotoCoreError:
            if not left:
                raise
    raise AssertionError


def split(uri: str, *, key_required: bool = True) -> tuple[str, str]:
    """Return bucket and key of an address."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket or (key_required and not key):
        raise StorageError(f"expected s3://bucket/key, received {uri!r}", uri=uri)
    return bucket, key


@contextmanager
def s3_errors(uri: str) -> Iterator[None]:
    """Turn what the SDK raises into our own errors."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in MISSING_CODES:
            raise ObjectNotFound(f"there is no object {uri}", uri=uri) from error
        if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
            raise ObjectExists(f"{uri} is there already", uri=uri) from error
        raise StorageError(f"S3 refused {uri}: {error}", uri=uri) from error
    except BotoCoreError as error:
        raise StorageError(f"S3 cannot be used for {uri}: {error}", uri=uri) from error
