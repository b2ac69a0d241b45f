#!/usr/bin/env bash
# Every call of the OpenAPI document with generated valid and invalid requests (schemathesis, PyPI): no answer is a 5xx, and every
# answer has the status, headers and schema that the document promises. Needs `npm run build`, and
#   python3 -m venv VENV && VENV/bin/pip install -r test/schemathesis/requirements.txt
# ST=VENV/bin/st test/schemathesis/run.sh [seconds] [seed]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60} seed=${2:-1}
data=$(mktemp -d)
key=spk_a-key-for-schemathesis-0001

PORT=0 WORKERS=0 DATA_DIR=$data BOOTSTRAP_API_KEY=$key LOG_LEVEL=warn \
  REQUESTS_PER_MINUTE=2147483647 INVALID_KEYS_PER_MINUTE=2147483647 node dist/cli/main.js start --json >"$data/started" 2>"$data/log" &
service=$!
stop() {
  kill "$service" 2>/dev/null || true
  wait "$service" 2>/dev/null || true
  rm -rf "$data"
}
trap stop EXIT
for _ in $(seq 300); do
  url=$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).url' "$data/started" 2>/dev/null) && break
  sleep 0.2
done

config=$PWD/test/schemathesis/schemathesis.toml
(cd "$data" && timeout $((seconds * 3 + 60)) "${ST:-st}" --config-file "$config" run "$url/openapi.json" -H "Authorization: Bearer $key" \
  --seed "$seed" --max-time "$seconds" --continue-on-failure --request-timeout 30 --warnings off)
