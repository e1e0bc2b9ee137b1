#!/bin/bash
# Trains the general model and judges it.
#   include/scripts/train_base_model.sh [DATA_DIR [OUTPUT_DIR]] [-- more options of training.train]
#   CONFIG=base_small include/scripts/train_base_model.sh data
# DATA_DIR is a folder or s3://bucket (default: ADBREAK_DATA_DIR, else data). Its last line is the model's address.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/ml/bin/python}
config=${CONFIG:-base_model}

data=${ADBREAK_DATA_DIR:-data}
output=
if [ $# -gt 0 ] && [ "$1" != "--" ]; then data=$1; shift; fi
if [ $# -gt 0 ] && [ "$1" != "--" ]; then output=$1; shift; fi
if [ $# -gt 0 ] && [ "$1" = "--" ]; then shift; fi
if [ ! -x "$python" ]; then
    echo "error: there is no $python: run 'make setup-ml', or name a Python by PYTHON=" >&2
    exit 1
fi

field() {  # of the line of JSON on standard input
    "$python" -c 'import json, sys; print(json.loads(sys.stdin.read())[sys.argv[1]])' "$1"
}

trained=$("$python" -m ml_training.training.train --json --config "$config" --data-dir "$data" \
    --output-dir "${output:-$data/training}" "$@")
model=$(printf '%s' "$trained" | field model_uri)
"$python" -m ml_training.training.evaluate --model "$model" --data-dir "$data"
echo "$model"
