import { readFile } from 'node:fs/promises';
import { writeExample } from '../service/example.js';
import { startProcess } from './process.js';

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

/** The service with a small network, to submit jobs of. */
export async function startWhole(): Promise<WholeService> {
  const { url, key, directory, close } = await startProcess();
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
    close,
  };
}
