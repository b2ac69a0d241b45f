#!/usr/bin/env bash
# TensorFlow's native backend for the engine `tensorflow`, built from what npm and PyPI hold: the binding's source is in the npm
# package, the C library and its headers are in TensorFlow's wheel. (The package's own installer downloads both from elsewhere.)
#
#     test/engines/native/build.sh FOLDER [VERSION]     VERSION of tensorflow-cpu, default 2.15.1
#     TFJS_NODE=FOLDER npx vitest run test/engines
#
# Needs Linux on x64, python3 with pip, unzip, make, g++ and Node's headers; 3 GB of disk. The product itself, with this backend:
#
#     npm pack --pack-destination FOLDER && (cd FOLDER && npm install --no-save sparank-*.tgz)
#     (cd FOLDER && npx sparank compress MODEL ... --engine tensorflow)
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
version=${2:-2.15.1}
cd "$folder"
[[ -f package.json ]] || echo '{"name": "tensorflow-native", "private": true}' >package.json
# Without its install script, which wants to download the library.
npm install --ignore-scripts --no-audit --no-fund @tensorflow/tfjs-node-gpu@4.22.0 node-gyp@11
python3 -m pip download --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d wheel "tensorflow-cpu==$version"

package=$folder/node_modules/@tensorflow/tfjs-node-gpu
mkdir -p "$package/deps/lib"
unzip -q -o wheel/tensorflow_cpu-"$version"-*.whl 'tensorflow/libtensorflow_*.so.2' 'tensorflow/include/tensorflow/c/*' \
  'tensorflow/include/tensorflow/core/platform/*' 'tensorflow/include/tensorflow/tsl/*' 'tensorflow/include/tsl/*' -d wheel
cp -r wheel/tensorflow/include "$package/deps/"
mv -f wheel/tensorflow/libtensorflow_cc.so.2 wheel/tensorflow/libtensorflow_framework.so.2 "$package/deps/lib/"
# The C interface is part of the C++ library.
ln -sf libtensorflow_cc.so.2 "$package/deps/lib/libtensorflow.so"
ln -sf libtensorflow_framework.so.2 "$package/deps/lib/libtensorflow_framework.so"
rm -rf wheel

node=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
headers=()
[[ -f $node/include/node/node_api.h ]] && headers=("--nodedir=$node")
cd "$package"
"$folder/node_modules/.bin/node-gyp" rebuild "${headers[@]}" --module_name=tfjs_binding --module_path="$package/lib/napi-v8" --napi_build_version=8
echo "built in $folder"
