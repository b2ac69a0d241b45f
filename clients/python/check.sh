#!/usr/bin/env bash
# Builds the wheel, installs it into an empty environment, and tests it there against the service of this repository (`npm run build`
# first): clients/python/check.sh VENV. VENV is made where it is not; it is kept for the next time.
set -euo pipefail
cd "$(dirname "$0")"
venv=$1 folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pip() { "$venv/bin/python" -m pip --disable-pip-version-check -q "$@"; }

[[ -x $venv/bin/python ]] || python3 -m venv "$venv"
pip install -r requirements-test.txt
cp -r pyproject.toml README.md src "$folder"
"$venv/bin/python" -m build --wheel --outdir "$folder/dist" "$folder" >"$folder/build.log" || { cat "$folder/build.log"; exit 1; }
pip install --force-reinstall --no-deps "$folder"/dist/*.whl

python3 make_sync.py --check
./make_types.sh "$venv/bin/datamodel-codegen" "$folder/types.py"
diff -q "$folder/types.py" src/sparank/types.py || { echo "run clients/python/make_types.sh: types.py is older than docs/openapi.json"; exit 1; }
"$venv/bin/ruff" check . && "$venv/bin/ruff" format --check .
"$venv/bin/mypy"
# From elsewhere: what is imported is what was installed.
mkdir "$folder/run" && cp -r tests pyproject.toml "$folder/run"
SPARANK_ROOT=$(cd ../.. && pwd)
export SPARANK_ROOT
cd "$folder/run" && "$venv/bin/python" -m pytest -q -rs "${@:2}"
