#!/usr/bin/env bash
# Builds the image of the Dockerfile without a Docker engine and without Docker Hub, and tries it as it runs in production.
#
#     deploy/image/build.sh [--tag sparank:latest] [--save FILE.tar] [--reuse-base] [--no-trial]
#
# Needs root on Linux, buildah, debootstrap, Node with npm; some 4 GB of disk and a quarter of an hour. The bases are made here: Debian 12
# by debootstrap, Node 24 by npm's package `node`. Everything else is the Dockerfile as `docker build` takes it.
# MIRROR: Debian's mirror. STORAGE_DRIVER: buildah's. NODE_EXTRA_CA_CERTS: certificates of your network, used while building only.
set -euo pipefail
cd "$(dirname "$0")/../.."

tag=sparank:latest save='' reuse=0 trial=1
while (($#)); do
  case $1 in
  --tag) tag=$2 && shift 2 ;;
  --save) save=$2 && shift 2 ;;
  --reuse-base) reuse=1 && shift ;;
  --no-trial) trial=0 && shift ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;;
  esac
done
missing=()
for program in buildah debootstrap node npm; do command -v "$program" >/dev/null || missing+=("$program"); done
if ((${#missing[@]})); then echo "build.sh: ${missing[*]} missing" >&2 && exit 1; fi
if [[ $(id -u) != 0 ]]; then echo 'build.sh: debootstrap and the trial need root' >&2 && exit 1; fi

export BUILDAH_ISOLATION=chroot
LIMIT_BYTES=450000000
debian=localhost/sparank-base:debian node=localhost/sparank-base:node
work=$(mktemp -d)
containers=()
tidy() {
  for one in "${containers[@]}"; do buildah rm "$one" >/dev/null || true; done
  rm -rf --one-file-system "$work"
}
trap tidy EXIT
step() { printf '\n== %s\n' "$*"; }

bases() {
  step 'base: Debian 12'
  local root=$work/debian container
  debootstrap --variant=minbase bookworm "$root" ${MIRROR:+"$MIRROR"} >"$work/debootstrap.log" ||
    { tail -20 "$work/debootstrap.log" >&2 && exit 1; }
  # As Debian's slim images: no manuals, no translations, no copies of packages.
  cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<'END'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
END
  find "$root/usr/share/doc" -type f ! -name copyright -delete
  find "$root/usr/share/doc" -depth -type d -empty -delete
  rm -rf "$root"/usr/share/{man,info,locale,lintian}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin \
    "$root"/var/cache/apt/archives/*.deb "$root"/var/log/{bootstrap.log,dpkg.log,alternatives.log} "$root"/dev/*
  container=$(buildah from scratch)
  containers+=("$container")
  buildah add -q "$container" "$root" / >/dev/null
  buildah config --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit -q "$container" "$debian" >/dev/null

  step 'base: Node 24'
  npm install --silent --no-audit --no-fund --prefix "$work/npm" node@24 npm@11
  container=$(buildah from --pull-never "$debian")
  containers+=("$container")
  buildah copy -q "$container" "$work/npm/node_modules/node/bin/node" /usr/local/bin/node >/dev/null
  buildah copy -q "$container" "$work/npm/node_modules/npm" /usr/local/lib/node_modules/npm >/dev/null
  buildah run "$container" -- sh -c 'chmod 755 /usr/local/bin/node
    ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
    ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
    node --version && npm --version'
  buildah commit -q "$container" "$node" >/dev/null
}

exists() { buildah inspect --type image "$1" >/dev/null 2>&1; }
if ((!reuse)) || ! exists "$debian" || ! exists "$node"; then bases; fi

step "image $tag"
certificates=()
if [[ -n ${NODE_EXTRA_CA_CERTS:-} ]]; then
  certificates=(--volume "$NODE_EXTRA_CA_CERTS:/run/certificates.pem:ro" --build-arg NODE_EXTRA_CA_CERTS=/run/certificates.pem)
fi
buildah bud --format docker --layers=false --pull-never --target cpu --tag "$tag" \
  --build-arg "NODE=$node" --build-arg "DEBIAN=$debian" "${certificates[@]}" .

container=$(buildah from --pull-never "$tag")
containers+=("$container")
root=$(buildah mount "$container")
size=$(du -s --block-size=1 --apparent-size "$root" | cut -f1)
printf '\n%s: %d MB (at most %d), of it:\n' "$tag" $((size / 1000000)) $((LIMIT_BYTES / 1000000))
du -m --max-depth=1 "$root" "$root/app" | sort -rn | sed -n '2,8p'
if ((size > LIMIT_BYTES)); then echo 'build.sh: too large' >&2 && exit 1; fi

if ((trial)); then
  step 'trial: user 1000, no capabilities, read-only root file system'
  buildah inspect --type image "$tag" >"$work/image.json"
  unshare --mount --pid --fork --kill-child bash deploy/image/trial.sh "$root" "$work/image.json"
fi
if [[ -n $save ]]; then buildah push "$tag" "docker-archive:$save:$tag" && ls -l "$save"; fi
step "$tag is ready"
