#!/usr/bin/env bash
# trial.sh ROOT INSPECTED: called by build.sh in mount and process namespaces of its own. Runs what the image holds as Kubernetes would:
# its entry point and environment, user 1000, no capabilities, nothing writable but /data and /tmp.
set -euo pipefail
image=$1 inspected=$2
root=$(mktemp -d)
mount --make-rprivate /
mount --bind "$image" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o uid=1000,gid=1000,mode=0700,size=4g data "$root/data"
mount -t tmpfs -o mode=1777,size=1g tmp "$root/tmp"

mapfile -t environment < <(node -p 'JSON.parse(fs.readFileSync(process.argv[1])).Docker.config.Env.join("\n")' "$inspected")
mapfile -t entry < <(node -p 'JSON.parse(fs.readFileSync(process.argv[1])).Docker.config.Entrypoint.join("\n")' "$inspected")
user=$(node -p 'JSON.parse(fs.readFileSync(process.argv[1])).Docker.config.User' "$inspected")
[[ $user == node ]] || { echo "trial: runs as '$user'" >&2 && exit 1; }
port=$(node -e 'const s = net.createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
KEY=trial-key-of-the-image-0123

# RUN=exec: in place of the shell, which would not pass signals on.
inside() { # inside [NAME=value...] -- COMMAND...
  local set=()
  while [[ $1 != -- ]]; do set+=("$1") && shift; done
  shift
  ${RUN:-} chroot "$root" setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    env -i -C /app "${environment[@]}" HOME=/home/node LOG_LEVEL=warn TINI_SUBREAPER=1 "${set[@]}" "$@"
}
sparank() { # sparank [NAME=value...] -- ARGUMENTS...
  local set=()
  while [[ $1 != -- ]]; do set+=("$1") && shift; done
  shift
  inside "${set[@]}" -- "${entry[@]}" "$@"
}
step() { printf '\n-- %s\n' "$*"; }

step 'the root file system cannot be written'
if inside -- touch /app/x /usr/x 2>/dev/null || touch "$root/app/x" 2>/dev/null; then echo 'trial: it can' >&2 && exit 1; fi

step 'what only some settings load is there'
inside -- node --input-type=module -e '
  for (const name of ["@aws-sdk/client-s3", "@aws-sdk/lib-storage", "@aws-sdk/s3-request-presigner", "ioredis", "bullmq", "onnxruntime-node",
    "@tensorflow/tfjs-core", "@opentelemetry/sdk-trace-node", "@opentelemetry/exporter-trace-otlp-http", "@opentelemetry/resources"]) await import(name);
  process.exit(0);'

step doctor
sparank -- doctor

step demo
sparank -- demo

step 'an API and a worker, a job from its files to the network that comes back'
RUN=exec sparank "PORT=$port" WORKERS=0 "BOOTSTRAP_API_KEY=$KEY" -- start &
api=$!
ready() { node -e 'fetch(process.argv[1]).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))' "http://127.0.0.1:$port/readyz"; }
for _ in $(seq 150); do if ready; then break; fi && sleep 0.2; done
RUN=exec sparank METRICS_PORT=0 -- worker &
worker=$!
example=/app/examples/fashion-mnist
inside "SPARANK_URL=http://127.0.0.1:$port" "SPARANK_API_KEY=$KEY" -- sh -euc "
  cd /tmp
  node /app/dist/cli/main.js submit $example/model.onnx --calibration $example/calibration.npz --evaluation $example/evaluation.npz \
    --target parameter_ratio=4 --wait --json >job.json
  id=\$(node -p 'JSON.parse(fs.readFileSync(\"job.json\")).id')
  node /app/dist/cli/main.js get \$id --output got
  ls -l got"
# Pages whose files lie in packages that were slimmed.
node -e '
  const base = process.argv[1], seen = [];
  const text = async (path, init) => {
    const response = await fetch(new URL(path, base), init);
    seen.push([path, response.status]);
    return response.text();
  };
  const page = await text("/docs/");
  for (const [, path] of page.matchAll(/(?:src|href)="([^":]+)"/g)) await text(new URL(path, base + "/docs/").pathname);
  const login = await fetch(base + "/admin/login", { method: "POST", redirect: "manual", body: new URLSearchParams({ key: process.argv[2] }) });
  const headers = { cookie: login.headers.get("set-cookie").split(";")[0] };
  const board = await text("/admin/queues/", { headers });
  for (const [, path] of board.matchAll(/(?:src|href)="((?!http)[^":]+)"/g)) await text(new URL(path, base + "/admin/queues/").pathname, { headers });
  console.log(seen.length, "files of the two dashboards");
  const bad = seen.filter(([, status]) => status !== 200);
  if (bad.length > 0 || seen.length < 8) throw new Error(JSON.stringify(bad));
' --input-type=module "http://127.0.0.1:$port" "$KEY"

step 'both stop cleanly at SIGTERM'
kill -TERM "$worker" "$api"
wait "$worker"
wait "$api"
