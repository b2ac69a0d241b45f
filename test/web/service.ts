import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../support/until.js';
import { writeExample } from '../service/example.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface WholeService {
  url: string;
  key: string;
  call(method: string, path: string, body?: unknown): Promise<Response>;
  /** Submits a small network and gives the id of its job. */
  submit(change?: object): Promise<string>;
  ended(id: string): Promise<string>;
  files: { model: string; calibration: string };
  close(): Promise<void>;
}

/** The service as `npm start` runs it: embedded database, a real worker. */
export async function startWhole(): Promise<WholeService> {
  const directory = await mkdtemp(join(tmpdir(), 'sparank-web-'));
  const service: ChildProcess = spawn(process.execPath, [MAIN, 'start', '--json'], {
    env: { PATH: process.env['PATH'], DATA_DIR: directory, PORT: '0', LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  service.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text));
  await until('the service listens', () => printed.trimEnd().endsWith('}'), 120);
  const { url } = JSON.parse(printed) as { url: string };
  const key = (await readFile(join(directory, 'api-key'), 'utf8')).trim();
  const call = (method: string, path: string, body?: unknown) =>
    fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const files = await writeExample(directory);
  const upload = async (path: string, name: string) => {
    const response = await fetch(`${url}/uploads?filename=${name}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: new Uint8Array(await readFile(path)),
    });
    return ((await response.json()) as { id: string }).id;
  };
  const model = await upload(files.model, 'small.onnx');
  const calibration = await upload(files.calibration, 'calibration.npz');
  return {
    url,
    key,
    call,
    files,
    async submit(change = {}) {
      const response = await call('POST', '/jobs', {
        ...{ model: { upload: model }, calibration: { upload: calibration }, target: { parameter_ratio: 2 } },
        ...{
          method: { samples: 500, max_iterations: 2 },
          benchmark: { batch_sizes: [1] },
          labels: { pipeline: 'nightly' },
        },
        ...change,
      });
      return ((await response.json()) as { id: string }).id;
    },
    async ended(id) {
      for (;;) {
        const response = await fetch(`${url}/jobs/${id}`, {
          headers: { authorization: `Bearer ${key}`, prefer: 'wait=20' },
        });
        const { status } = (await response.json()) as { status: string };
        if (['succeeded', 'failed', 'canceled'].includes(status)) return status;
      }
    },
    async close() {
      service.kill('SIGTERM');
      await once(service, 'exit');
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
