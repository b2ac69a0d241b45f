#!/usr/bin/env bash
# Compresses a model with a service, in bash: SPARANK_URL and SPARANK_API_KEY say which.
# pipeline.sh MODEL CALIBRATION EVALUATION DIRECTORY; ends with 3 when the verdict is no.
set -euo pipefail
npx sparank submit "$1" --calibration "$2" --evaluation "$3" --target parameter_ratio=2 \
  --constraint max_relative_error=0.5 --label pipeline=nightly --output "$4"
