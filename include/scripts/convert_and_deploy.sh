#!/bin/bash
# Turns a float model into the files that devices run, judges them, and offers them to the registry.
#   include/scripts/convert_and_deploy.sh RUN/float/model.keras [DATA_DIR]
#   DEVICE=pi_a MLFLOW_TRACKING_URI=http://... include/scripts/convert_and_deploy.sh RUN/float/model.keras data
# Without MLFLOW_TRACKING_URI nothing is registered, without DEVICE (a device of docs/devices.md) no latency is measured,
# and the script says so. QUANTIZE=int8-ptq does without fine-tuning; other kinds of files are refused by their gates.
# POLICY=local accepts simulated verdicts (default: production). A refused model exits 3.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/ml/bin/python}
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: convert_and_deploy.sh MODEL [DATA_DIR]" >&2
    exit 2
fi
model=$1
data=${2:-${ADBREAK_DATA_DIR:-data}}
config=${CONFIG:-base_model}
folder=${model%/*}
kind=${QUANTIZE:-int8}
files=${folder%/*}/$kind

field() {
    "$python" -c 'import json, sys; print(json.loads(sys.stdin.read())[sys.argv[1]])' "$1"
}

converted=$("$python" -m ml_training.conversion.to_tflite --json --model "$model" --output "$files" \
    --quantize "$kind" --data-dir "$data")
file=$(printf '%s' "$converted" | field model_uri)
judged=$("$python" -m ml_training.conversion.test_tflite --json --model "$file" --parent "$model" --data-dir "$data")
report=$(printf '%s' "$judged" | field report_uri)

benchmarks=()
if [ -n "${DEVICE:-}" ]; then
    measured=$("$python" -m ml_training.edge.benchmark --json --model "$file" --device "$DEVICE" \
        --output "$files/benchmarks")
    benchmarks=(--benchmarks "$(printf '%s' "$measured" | field benchmark_uri)")
else
    echo "DEVICE is not set: latency and parity stay not measured" >&2
fi
verdicts=$("$python" -m ml_training.registry.gates --json judge --report "$report" --config "$config" \
    --policy "${POLICY:-production}" ${benchmarks[@]+"${benchmarks[@]}"})
printf '%s' "$verdicts" | field summary

if [ -z "${MLFLOW_TRACKING_URI:-}" ]; then
    echo "MLFLOW_TRACKING_URI is not set: $file is not registered" >&2
else
    "$python" -m ml_training.registry.client upload --model "$file" \
        --verdicts "$(printf '%s' "$verdicts" | field verdicts_uri)"
fi
echo "$file"
[ "$(printf '%s' "$verdicts" | field accepted)" = True ] || exit 3
