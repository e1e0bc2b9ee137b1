#!/bin/bash
# Trains a config from recordings to a judged model, on this machine or on AWS.
#   include/scripts/run_training.sh local [DATA_DIR]
#   include/scripts/run_training.sh aws BUCKET
#   CONFIG=temporal include/scripts/run_training.sh aws adbreak
# local: everything from a folder. aws: data and results in s3://BUCKET, computed by the machine that runs this; start it
# on a GPU machine of your own. It does not start machines. What is there already is found, not made again.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/ml/bin/python}
usage="usage: run_training.sh local [DATA_DIR] | aws BUCKET"
[ -x "$python" ] || { echo "error: there is no $python: run 'make setup-ml', or name a Python by PYTHON=" >&2; exit 1; }

case ${1:-} in
local)
    data=${2:-${ADBREAK_DATA_DIR:-data}}
    if [ ! -d "$data" ]; then
        echo "error: there is no folder $data: put recordings into $data/recordings, or see docs/data.md" >&2
        exit 1
    fi
    ;;
aws)
    if [ -z "${2:-}" ]; then echo "$usage" >&2; exit 2; fi
    data=s3://${2#s3://}
    if ! "$python" -c 'import sys
from ml_training.cloud import storage
next(iter(storage.list_objects(sys.argv[1] + "/recordings/")), None)' "$data" 2>/dev/null; then
        echo "error: $data cannot be read: this machine needs a role (or AWS_PROFILE) that may read and write the" >&2
        echo "       bucket; another S3 API than Amazon's is named by AWS_ENDPOINT_URL" >&2
        exit 1
    fi
    echo "computing on this machine; run_training.sh starts no machines and stops none" >&2
    [ -n "${MLFLOW_TRACKING_URI:-}" ] || echo "MLFLOW_TRACKING_URI is not set: the training is not tracked" >&2
    ;;
*)
    echo "$usage" >&2
    exit 2
    ;;
esac

"$python" -m ml_training.data.collectors extract --video-source "$data/recordings" --output-dir "$data/frames"
CONFIG=${CONFIG:-base_model} "$(dirname "$0")/train_base_model.sh" "$data"
