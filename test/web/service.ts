import { readFile } from 'node:fs/promises';
import { writeExample } from '../service/example.js';
import { startProcess } from './process.js';

export interface WholeService {
  url: string;
  key: string;
  call(method: string, path: string, body?: unknown): Promise<Response>;
  /** Submits a small network and gives the id of its job; with another team's key, as that team. */
  submit(change?: object, team?: string): Promise<string>;
  ended(id: string): Promise<string>;
  files: { model: string; calibration: string };
  close(): Promise<void>;
}

/** The service with a small network, to submit jobs of. */
export async function startWhole(): Promise<WholeService> {
  const { url, key, directory, close } = await startProcess();
  const call = (method: string, path: string, body?: unknown, as = key) =>
    fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${as}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const files = await writeExample(directory);
  const upload = async (path: string, name: string, as = key) => {
    const response = await fetch(`${url}/uploads?filename=${name}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${as}` },
      body: new Uint8Array(await readFile(path)),
    });
    return ((await response.json()) as { id: string }).id;
  };
  const sources = async (as: string) => ({
    model: { upload: await upload(files.model, 'small.onnx', as) },
    calibration: { upload: await upload(files.calibration, 'calibration.npz', as) },
  });
  return {
    url,
    key,
    call,
    files,
    async submit(change = {}, as = key) {
      const spec = {
        ...(await sources(as)),
        target: { parameter_ratio: 2 },
        ...{
          effort: 'quick',
          method: { samples: 500, max_iterations: 2 },
          benchmark: { batch_sizes: [1] },
          labels: { pipeline: 'nightly' },
        },
        ...change,
      };
      const response = await call('POST', '/jobs', spec, as);
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
    close,
  };
}
