#!/usr/bin/env bash
# Makes src/sparank/types.py from docs/openapi.json: make_types.sh DATAMODEL-CODEGEN [FILE]
set -euo pipefail
cd "$(dirname "$0")"
file=${2:-src/sparank/types.py}
"$1" --input ../../docs/openapi.json --input-file-type openapi --output "$file" \
  --output-model-type typing.TypedDict --target-python-version 3.10 --use-standard-collections --disable-timestamp \
  --formatters black isort --custom-file-header '# Made from docs/openapi.json by clients/python/make_types.sh.'
# Type checkers do not know closed dictionaries yet (PEP 728).
sed -i 's/, closed=True//; /^ *closed=True,$/d' "$file"
