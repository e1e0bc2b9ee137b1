"""What a new machine fetches, and says when that fails, with nothing but Python's standard library.

    python3 bootstrap.py fetch s3://adbreak/code/9f2c....tar.gz 9f2c... code.tar.gz    # checked by its sha256
    python3 bootstrap.py fetch pypi:uv d7f4... uv.whl                    # a package's file, found by its sha256
    python3 bootstrap.py report s3://adbreak/training/jobs/3f9c 1 boot.log 1 1767600000

The text of this file travels in the user data (``cloud.user_data``): cloud-init itself needs a Python, so there is one
on every image, while boto3 and AWS's command line are not. Requests to the bucket are signed (Signature Version 4,
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html) with the role's keys.
"""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

TRIES = 6
TIMEOUT_SECONDS = 30
METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
INDEX = os.environ.get("ADBREAK_PACKAGE_INDEX", "https://pypi.org/simple").rstrip("/")
LOG_BYTES = 200_000
FINAL = (301, 307, 400, 403, 404, 409, 412)  # asking again gives the same answer


def request(url: str, method: str = "GET", headers: Any = None, data: Any = None, tries: int = TRIES) -> bytes:
    """Return the answer's body; what may pass is tried again, with pauses of 1, 2, 4 ... seconds."""
    handlers = [urllib.request.ProxyHandler({})] if url.startswith(METADATA) else []
    for left in reversed(range(tries)):
        try:
            asked = urllib.request.Request(url, data, headers or {}, method=method)
            with urllib.request.build_opener(*handlers).open(asked, timeout=TIMEOUT_SECONDS) as answer:
                return bytes(answer.read())
        except OSError as error:
            if not left or getattr(error, "code", 0) in FINAL:
                raise
        time.sleep(2.0 ** (tries - 1 - left))
    raise AssertionError


def metadata(path: str) -> str:
    """Return what the instance metadata service (version 2) says."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
    token = request(f"{METADATA}/latest/api/token", "PUT", lifetime, tries=3).decode()
    asked = f"{METADATA}/latest/meta-data/{path}"
    return request(asked, headers={"X-aws-ec2-metadata-token": token}, tries=3).decode()


def credentials() -> tuple[str, str, str]:
    """Return key, secret and session token, of the environment or of the machine's role."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        return tuple(os.environ.get(name, "") for name in names)  # type: ignore[return-value]
    role = metadata("iam/security-credentials/").split()[0]
    keys = json.loads(metadata(f"iam/security-credentials/{role}"))
    return keys["AccessKeyId"], keys["SecretAccessKey"], keys.get("Token") or ""


def region() -> str:
    """Return the region that the environment or the metadata service names."""
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return named or metadata("placement/region")


def s3(method: str, uri: str, data: bytes = b"", extra: Any = None, where: str = "") -> bytes:
    """Send one signed request to the bucket; once more to the region that it says it is in."""
    here = where or region()
    try:
        return s3_in(here, method, uri, data, extra)
    except urllib.error.HTTPError as error:
        there = error.headers.get("x-amz-bucket-region")
        if where or not there or there == here:
            raise
        return s3(method, uri, data, extra, there)


def s3_in(where: str, method: str, uri: str, data: bytes, extra: Any) -> bytes:
    """Send one signed request to a region."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    base = (endpoint or f"https://s3.{where}.amazonaws.com").rstrip("/")
    path = urllib.parse.urlsplit(base).path + "/" + urllib.parse.quote(uri.removeprefix("s3://"))
    headers = signed(method, urllib.parse.urlsplit(base).netloc, path, data, where, extra or {})
    headers["Content-Type"] = "application/octet-stream"
    return request(base + "/" + urllib.parse.quote(uri.removeprefix("s3://")), method, headers, data or None)


def signed(method: str, host: str, path: str, data: bytes, where: str, extra: Any) -> dict[str, str]:
    """Return a request's headers with its signature."""
    key, secret, token = credentials()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    digest = hashlib.sha256(data).hexdigest()
    headers = {"host": host, "x-amz-date": now, "x-amz-content-sha256": digest, **extra}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join([method, path, "", listed, names, digest])
    scope = f"{now[:8]}/{where}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        signing = hmac.new(signing, part.encode(), "sha256").digest()
    signature = hmac.new(signing, text.encode(), "sha256").hexdigest()
    credential = f"Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {credential}"}


def package_file(name: str, sha256: str) -> bytes:
    """Return the file of a package that has this sha256 (https://peps.python.org/pep-0691/)."""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    for file in json.loads(request(f"{INDEX}/{name}/", headers=accept))["files"]:
        if file["hashes"].get("sha256") == sha256:
            return request(urllib.parse.urljoin(f"{INDEX}/{name}/", file["url"]))
    raise SystemExit(f"{INDEX} has no file of {name} with sha256 {sha256}")


def fetch(uri: str, sha256: str, path: str) -> None:
    """Copy an object of a bucket, a package's file or a file to ``path``, if it is what it should be."""
    if uri.startswith("s3://"):
        data = s3("GET", uri)
    elif uri.startswith("pypi:"):
        data = package_file(uri.removeprefix("pypi:"), sha256)
    else:
        data = Path(uri).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise SystemExit(f"{uri} has sha256 {found}, expected {sha256}: it was replaced or cut; start the job anew")
    Path(path).write_bytes(data)
    print(f"fetched {uri}: {len(data)} bytes")


def put_if_absent(uri: str, data: bytes) -> None:
    """Write what is not there yet; what is there stays: the first word counts."""
    if not uri.startswith("s3://"):
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        if not Path(uri).exists():
            Path(uri).write_bytes(data)
        return
    try:
        s3("PUT", uri, data, {"if-none-match": "*"})
    except urllib.error.HTTPError as error:
        if error.code not in (409, 412):
            raise


def report(job: str, attempt: str, log: str, code: str, started: str) -> None:
    """Write the log of the set-up and how it ended, where the machine has not said so itself."""
    text = Path(log).read_bytes()[-LOG_BYTES:]
    lines = text.decode(errors="replace").strip().splitlines()[-5:]
    try:
        instance = metadata("instance-id")
    except OSError:
        instance = None
    ending = {
        "attempt": int(attempt),
        "instance_id": instance,
        "cause": "lost",
        "message": f"the machine could not be set up, or its supervisor was lost (exit code {code}): "
        + "\n".join(lines),
        "ended_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": max(0.0, time.time() - float(started)),
    }
    number = f"{int(attempt):04d}"
    put_if_absent(f"{job}/logs/{number}/000001.log", text)
    put_if_absent(f"{job}/ended/{number}.json", json.dumps(ending).encode())


if __name__ == "__main__":
    if sys.argv[1] == "fetch":
        fetch(*sys.argv[2:])
    elif sys.argv[1] == "report":
        report(*sys.argv[2:])
    else:
        print(region())
