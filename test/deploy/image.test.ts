import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const dockerfile = readFileSync(`${ROOT}Dockerfile`, 'utf8');

test('the image serves where the manifests look: its port, its data directory, its user', () => {
  for (const text of [
    'HOST=0.0.0.0',
    'PORT=8080',
    'DATA_DIR=/data',
    'USER node',
    'ENTRYPOINT ["tini", "--", "node", "dist/cli/main.js"]',
  ]) {
    expect(dockerfile).toContain(text);
  }
});

test('the images of GPUs have the CUDA provider where onnxruntime-node looks for it, and each its engine', () => {
  const binary = 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64';
  expect(readdirSync(`${ROOT}${binary}`)).toContain('onnxruntime_binding.node');
  expect(dockerfile.split(`COPY --from=cuda-provider /provider ${binary}\n`)).toHaveLength(3);
  for (const engine of ['cuda', 'tensorflow', 'webgpu'])
    expect(dockerfile).toMatch(new RegExp(`^ENV .*ENGINE=${engine}\\b`, 'm'));
});

test('images have versions of Node that are supported, and the one of TensorFlow a version that its add-on knows', () => {
  const { engines } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { engines: { node: string } };
  const version = (argument: string) => Number(new RegExp(`^ARG ${argument}=node:(\\d+)-`, 'm').exec(dockerfile)?.[1]);
  expect(engines.node).toBe('^20.19.0 || ^22.12.0 || >=24');
  expect(version('NODE')).toBe(24);
  expect(version('NODE_FOR_TENSORFLOW')).toBe(22);
});

test('the image without a Docker engine is the same Dockerfile, on the same version of Node', () => {
  const script = readFileSync(`${ROOT}deploy/image/build.sh`, 'utf8');
  const bases = [...dockerfile.matchAll(/^ARG (\w+)=(?:node|debian):/gm)].map(([, name = '']) => name);
  expect(bases).toEqual(['NODE', 'NODE_FOR_TENSORFLOW', 'DEBIAN']);
  for (const name of ['NODE', 'DEBIAN']) expect(script).toContain(`--build-arg "${name}=`);
  expect(script).toContain('node@24 ');
  expect(script).toContain('--target cpu');
  expect(script).toContain('LIMIT_BYTES=450000000');
});
