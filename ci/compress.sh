#!/usr/bin/env bash
# What action.yml and ci/gitlab/compress.yml run: compresses SPARANK_MODEL with the service at SPARANK_URL, writes a summary, and ends
# with 3 when the verdict is no. Needs Python 3.9 or later, and installs the client of this repository into an environment of its own.
#   SPARANK_PYTHON: a Python that has the client already. SPARANK_CALIBRATION, SPARANK_EVALUATION, SPARANK_TARGETS, SPARANK_CONSTRAINTS,
#   SPARANK_LABELS (a name=value a line), SPARANK_OUTPUT, SPARANK_SUMMARY (a file), SPARANK_TIMEOUT_MINUTES: as the inputs of action.yml.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

python=${SPARANK_PYTHON:-}
if [[ -z $python ]]; then
  environment=$(mktemp -d)
  trap 'rm -rf "$environment"' EXIT
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check "$here/clients/python"
  python=$environment/bin/python
fi

arguments=("$SPARANK_MODEL" --calibration "$SPARANK_CALIBRATION" --output "${SPARANK_OUTPUT:-compressed}")
if [[ -n ${SPARANK_EVALUATION:-} ]]; then arguments+=(--evaluation "$SPARANK_EVALUATION"); fi
if [[ -n ${SPARANK_SUMMARY:-} ]]; then arguments+=(--summary "$SPARANK_SUMMARY"); fi
if [[ -n ${SPARANK_TIMEOUT_MINUTES:-} ]]; then arguments+=(--timeout "$((SPARANK_TIMEOUT_MINUTES * 60))"); fi
# A name=value a line; spaces around it and empty lines do not count.
add() {
  local line
  while read -r line; do
    if [[ -n $line ]]; then arguments+=("$1" "$line"); fi
  done <<<"$2"
}
add --target "$SPARANK_TARGETS"
add --constraint "${SPARANK_CONSTRAINTS:-}"
add --label "${SPARANK_LABELS:-}"

"$python" -m sparank.ci "${arguments[@]}"
