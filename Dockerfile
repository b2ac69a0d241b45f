# syntax=docker/dockerfile:1
# `docker build .` makes the CPU image; `docker build --target cuda .` the one with ONNX Runtime's CUDA provider, `--target gpu` the same
# with TensorFlow's CUDA engine, `--target webgpu` the CPU image with what WebGPU needs beside the driver.

# Other bases, for who builds without Docker Hub: deploy/image/build.sh makes both from Debian's and npm's packages.
ARG NODE=node:24-bookworm-slim
ARG NODE_FOR_TENSORFLOW=node:22-bookworm-slim
ARG DEBIAN=debian:bookworm-slim

FROM ${NODE} AS build
# A bundle of certificates that is mounted during the build, for networks with an authority of their own.
ARG NODE_EXTRA_CA_CERTS
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json tsconfig.build.json prisma.config.ts ./
COPY scripts scripts
COPY prisma prisma
# Install scripts run below, so that changed sources do not repeat the download.
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY src src
COPY web web
COPY deploy/image/slim.mjs deploy/image/
RUN npm rebuild && npm run build && npm prune --omit=dev --ignore-scripts && node deploy/image/slim.mjs .

# Without npm, which nothing calls at run time.
FROM ${DEBIAN} AS cpu
# tini reaps the compute processes and passes signals on.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates tini \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/*.log \
  && groupadd --gid 1000 node && useradd --uid 1000 --gid node --create-home node \
  && install -d -o node -g node -m 0700 /data
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json ./
COPY prisma prisma
COPY examples examples
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DATA_DIR=/data
USER node
VOLUME /data
EXPOSE 8080
# The API answers; a worker has no port and overrides this check.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "node", "dist/cli/main.js"]
CMD ["start"]

# ONNX Runtime's CUDA provider, for CUDA 12 and cuDNN 9: its package fetches it when asked to.
FROM ${NODE} AS cuda-provider
ARG NODE_EXTRA_CA_CERTS
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts \
  && ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js \
  && cd node_modules/onnxruntime-node/bin/napi-v6/linux/x64 \
  && install -D -t /provider libonnxruntime_providers_shared.so libonnxruntime_providers_cuda.so

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu22.04 AS cuda
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates tini \
  && rm -rf /var/lib/apt/lists/* \
  && groupadd --gid 1000 node && useradd --uid 1000 --gid node --create-home node \
  && install -d -o node -g node -m 0700 /data
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=cuda-provider /provider node_modules/onnxruntime-node/bin/napi-v6/linux/x64
COPY --from=build /app/dist dist
COPY package.json ./
COPY prisma prisma
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DATA_DIR=/data ENGINE=cuda
USER node
VOLUME /data
HEALTHCHECK NONE
ENTRYPOINT ["tini", "--", "node", "dist/cli/main.js"]
CMD ["worker"]

# The add-on of @tensorflow/tfjs-node-gpu 4.22 calls what Node removed in 23.
FROM ${NODE_FOR_TENSORFLOW} AS node-for-tensorflow

# @tensorflow/tfjs-node-gpu 4.22 brings libtensorflow 2.9.1, which is built for CUDA 11.2 and cuDNN 8.
FROM nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04 AS cuda-for-tensorflow
# Only the names that TensorFlow asks for: each is a link to a file with a longer name, and a copy of both would be twice as large.
RUN cd /usr/local/cuda-11.8/targets/x86_64-linux/lib \
  && install -D -t /cuda libcudart.so.11.0 libcublas.so.11 libcublasLt.so.11 libcufft.so.10 libcurand.so.10 libcusolver.so.11 \
    libcusparse.so.11 /usr/lib/x86_64-linux-gnu/libcudnn*.so.8

FROM cuda AS gpu
USER root
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3 make g++ \
  && rm -rf /var/lib/apt/lists/*
COPY --from=cuda-for-tensorflow /cuda /usr/local/cuda-11.8/lib64
COPY --from=node-for-tensorflow /usr/local/bin/node /usr/local/bin/node
COPY --from=node-for-tensorflow /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
  && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
# Beside the lock file, which stays free of a package that cannot be installed everywhere.
RUN npm install --no-save --omit=dev --foreground-scripts @tensorflow/tfjs-node-gpu@4.22.0
# npm puts packages as they come from the registry in place of changed ones.
COPY --from=cuda-provider /provider node_modules/onnxruntime-node/bin/napi-v6/linux/x64
# TensorFlow would take all of the GPU's memory, of which ONNX Runtime needs some.
ENV ENGINE=tensorflow TF_FORCE_GPU_ALLOW_GROWTH=true LD_LIBRARY_PATH=/usr/local/cuda-11.8/lib64:${LD_LIBRARY_PATH}
USER node

FROM cpu AS webgpu
USER root
# Vulkan's loader, and what NVIDIA's driver (which the container runtime brings) is linked with.
RUN apt-get update \
  && apt-get install -y --no-install-recommends libvulkan1 libegl1 libgl1 libxext6 \
  && rm -rf /var/lib/apt/lists/*
ENV ENGINE=webgpu NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics
USER node
HEALTHCHECK NONE
CMD ["worker"]

# The last stage is what a plain `docker build .` makes.
FROM cpu
