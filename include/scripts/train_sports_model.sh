#!/bin/bash
# Trains the sports model: it goes on from the general model, which is trained first where there is none.
#   include/scripts/train_sports_model.sh [DATA_DIR [OUTPUT_DIR]] [-- more options of training.train]
set -euo pipefail
CONFIG=${CONFIG:-sports_model} exec "$(dirname "$0")/train_base_model.sh" "$@"
