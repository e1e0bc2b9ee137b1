#!/bin/bash
# Trains a config from recordings to a judged model, on this machine or on a spot machine of AWS.
#   include/scripts/run_training.sh local [DATA_DIR]
#   ADBREAK_CLOUD_CONFIG=account.yaml include/scripts/run_training.sh aws BUCKET
#   CONFIG=temporal include/scripts/run_training.sh aws adbreak
# local: everything from a folder. aws: data and results in s3://BUCKET. This machine extracts frames and judges the model;
# a machine of EC2 trains (docs/cloud.md), and Ctrl-C ends it too. What is there already is found, not made again: the same
# again adopts a machine that still trains, and goes on from the last checkpoint.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/ml/bin/python}
config=${CONFIG:-base_model}
usage="usage: run_training.sh local [DATA_DIR] | aws BUCKET"
[ -x "$python" ] || { echo "error: there is no $python: run 'make setup-ml', or name a Python by PYTHON=" >&2; exit 1; }

extract() {
    "$python" -m ml_training.data.collectors extract --video-source "$data/recordings" --output-dir "$data/frames"
}

require_bucket() {
    if ! "$python" -c 'import sys
from ml_training.cloud import storage
next(iter(storage.list_objects(sys.argv[1] + "/recordings/")), None)' "$data" 2>/dev/null; then
        echo "error: $data cannot be read: this machine needs a role (or AWS_PROFILE) that may read and write the" >&2
        echo "       bucket; another S3 API than Amazon's is named by AWS_ENDPOINT_URL_S3" >&2
        exit 1
    fi
    case $config in
    */* | *.yaml | *.yml)
        echo "error: a machine has only the configs in include/configs, not $config: put it there" >&2
        exit 2
        ;;
    esac
}

field() {  # of the line of JSON on standard input
    "$python" -c 'import json, sys; print(json.loads(sys.stdin.read())[sys.argv[1]])' "$1"
}

case ${1:-} in
local)
    data=${2:-${ADBREAK_DATA_DIR:-data}}
    if [ ! -d "$data" ]; then
        echo "error: there is no folder $data: put recordings into $data/recordings, or see docs/data.md" >&2
        exit 1
    fi
    extract
    CONFIG=$config "$(dirname "$0")/train_base_model.sh" "$data"
    ;;
aws)
    if [ -z "${2:-}" ]; then echo "$usage" >&2; exit 2; fi
    data=s3://${2#s3://}
    require_bucket
    "$python" -m ml_training.cloud.prices --config "$config" >&2  # also fails early where EC2 does not answer
    extract
    built=$("$python" -m ml_training.data.dataset build --json --config "$config" --data-dir "$data")
    dataset=$(printf '%s' "$built" | field dataset_id)
    trained=$("$python" -m ml_training.cloud.spot run --json --data-dir "$data" \
        --options "{\"config\": \"$config\", \"dataset\": \"$dataset\"}")
    model=$(printf '%s' "$trained" | field model_uri)
    "$python" -m ml_training.training.evaluate --model "$model" --data-dir "$data"
    echo "cost: $(printf '%s' "$trained" | field cost)" >&2
    echo "$model"
    ;;
*)
    echo "$usage" >&2
    exit 2
    ;;
esac
