"""Permissions that S3 checks by itself, for those who hold no credentials.

policy = presign_post("adbreak", "telemetry/pi5/", seconds=3600, largest_bytes=4 << 20)
policy["url"], policy["fields"]                      # a form to send, with ``key`` and ``file`` added
"""

from typing import Any

from ml_training.cloud.s3 import client, s3_errors


def presign_post(bucket: str, prefix: str, *, seconds: int, largest_bytes: int) -> dict[str, Any]:
    """Return ``url`` and form ``fields`` with which anybody may write keys that begin with ``prefix``.

    The one who sends replaces the field ``key`` by a key of theirs; S3 refuses another prefix and a larger file. See
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html.
    """
    conditions = [["starts-with", "$key", prefix], ["content-length-range", 0, largest_bytes]]
    with s3_errors(f"s3://{bucket}/{prefix}"):
        policy = client().generate_presigned_post(
            bucket, prefix + "${filename}", Conditions=conditions, ExpiresIn=seconds
        )
    return {"url": policy["url"], "fields": policy["fields"]}
