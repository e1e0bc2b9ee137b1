"""The stack's own door to its S3 server: makes buckets, uploads what is new, reads results.

bucket = Bucket("http://127.0.0.1:4566", "adbreak")
bucket.upload(Path("a.ts"), "recordings/one/2026-01-05/a.ts", sha256)   # False: it was there already
"""

import json
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local_stack.errors import StackError

CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


class Bucket:
    """One bucket of the local S3 server."""

    def __init__(self, endpoint_url: str, name: str) -> None:
        config = Config(s3={"addressing_style": "path"}, proxies={}, retries={"mode": "standard", "max_attempts": 3})
        self.name = name
        self._client = boto3.client("s3", endpoint_url=endpoint_url, config=config, **CREDENTIALS)

    def make(self) -> None:
        """Create the bucket when it is not there."""
        try:
            self._client.head_bucket(Bucket=self.name)
        except ClientError:
            self._client.create_bucket(Bucket=self.name)

    def upload(self, path: Path, key: str, sha256: str) -> bool:
        """Store a file unless the same content is there; tells whether it was stored. Raises StackError."""
        try:
            if self._stored_sha256(key) == sha256:
                return False
            self._client.upload_file(str(path), self.name, key, ExtraArgs={"Metadata": {"sha256": sha256}})
        except (BotoCoreError, ClientError, boto3.exceptions.S3UploadFailedError) as error:
            raise StackError(f"{path} cannot be stored in the bucket: {error}") from error
        return True

    def _stored_sha256(self, key: str) -> str | None:
        try:
            return str(self._client.head_object(Bucket=self.name, Key=key)["Metadata"].get("sha256"))
        except ClientError:
            return None

    def read_bytes(self, key: str) -> bytes | None:
        """Return an object's content, None when it is not there."""
        try:
            return bytes(self._client.get_object(Bucket=self.name, Key=key)["Body"].read())
        except ClientError:
            return None

    def read_json(self, uri: str | None) -> Any:
        """Return the JSON at ``s3://<this bucket>/...``, None when there is no address or nothing there."""
        prefix = f"s3://{self.name}/"
        if not uri or not uri.startswith(prefix):
            return None
        data = self.read_bytes(uri.removeprefix(prefix))
        return None if data is None else json.loads(data)
