#!/usr/bin/env bash
# Two versions of the service on one database and one storage: bench/mixed-versions.sh OLD NEW
# Each is a checkout that is built. Goes the way of an upgrade (old alone, new API with an old worker, old API with a new worker, new
# alone) and back (old alone, on the newer schema), with a job at each step, and says which of them ended well.
set -euo pipefail
old=$(cd "$1" && pwd) new=$(cd "$2" && pwd)
data=$(mktemp -d)
export DATA_DIR=$data/data BOOTSTRAP_API_KEY=key-of-the-trial-0123456789 SPARANK_API_KEY=key-of-the-trial-0123456789 LOG_LEVEL=warn SHUTDOWN_SECONDS=5
declare -A running=()
tidy() {
  stop "${!running[@]}"
  rm -rf "$data"
}
trap tidy EXIT

port() { node -e 'const s = net.createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }
start() { # start NAME CHECKOUT PORT
  if [[ $1 == *api ]]; then PORT=$3 WORKERS=0 node "$2/dist/cli/main.js" start >"$data/$1.log" 2>&1 &
  else node "$2/dist/cli/main.js" worker >"$data/$1.log" 2>&1 & fi
  running[$1]=$!
  if [[ $1 == *api ]]; then
    for _ in $(seq 150); do
      if curl -sf "http://127.0.0.1:$3/readyz" >/dev/null; then return; fi
      if ! kill -0 "${running[$1]}" 2>/dev/null; then break; fi
      sleep 0.2
    done
    echo "  $1 does not start: $(tail -2 "$data/$1.log")"
  fi
}
stop() {
  local name
  for name in "$@"; do
    kill "${running[$name]}" 2>/dev/null || true
    wait "${running[$name]}" 2>/dev/null || true
    unset "running[$name]"
  done
}
example=$new/examples/fashion-mnist
job() { # job WHAT PORT
  local began=$SECONDS
  if timeout 300 node "$new/dist/cli/main.js" submit "$example/model.onnx" --calibration "$example/calibration.npz" --target parameter_ratio=4 --effort quick \
    --label "step=$RANDOM" --url "http://127.0.0.1:$2" --wait --json >"$data/job.json" 2>"$data/job.log"; then echo "ok      $1, $((SECONDS - began)) s"
  else echo "FAILED  $1: $(tail -c 600 "$data/job.json" "$data/job.log")" && for one in "${!running[@]}"; do echo "  $one: $(tail -3 "$data/$one.log")"; done; fi
}
a=$(port) b=$(port)
start old-api "$old" "$a" && start old-worker "$old" 0
job 'old alone' "$a"
start new-api "$new" "$b"
job 'new API, old worker' "$b"
job 'old API beside a new one, old worker' "$a"
start new-worker "$new" 0
job 'new API, an old and a new worker' "$b"
stop old-worker
job 'old API, new worker' "$a"
stop old-api
job 'new alone' "$b"
stop new-api new-worker
start old-api "$old" "$a" && start old-worker "$old" 0
job 'back: old alone on the newer schema' "$a"
