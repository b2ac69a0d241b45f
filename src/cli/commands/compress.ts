import { access } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { readConfig } from '../../config/index.js';
import { InputError } from '../../errors/index.js';
import { resolveSpec } from '../../jobs/resolve-spec.js';
import type { compressLocally as Compress, LocalOptions } from '../../pipeline/local.js';
import { stepLimits } from '../../worker/limits.js';
import { EXIT } from '../exit-codes.js';
import { note, print, printJson } from '../display/output.js';
import { outcome, somePasses } from '../display/points.js';
import { layerTable } from '../display/report.js';
import { specFrom, type SpecOptions } from '../spec-options.js';
import { openTemporary, removeNow } from '../temporary.js';
import { untilSignal } from '../until-signal.js';

/** Of a step that was interrupted. */
const GRACE_MS = 2_000;

export interface CompressOptions extends SpecOptions {
  calibration: string;
  evaluation?: string;
  output: string;
  json: boolean;
}

/** The whole job in this process, without a service. */
export async function compress(model: string, options: CompressOptions): Promise<void> {
  const config = readConfig(process.env);
  const none = { upload: 'local' };
  const spec = resolveSpec(specFrom(options, { model: none, calibration: none, evaluation: none }));
  for (const path of [model, options.calibration, options.evaluation]) {
    if (path === undefined) continue;
    await access(path).catch(() => {
      throw new InputError('invalid_request', `${path} cannot be read`);
    });
  }
  const temporary = await openTemporary();
  // However the process ends, short of being killed.
  process.once('exit', () => removeNow(temporary));
  const interrupted = new AbortController();
  let work: ReturnType<typeof Compress> | null = null;
  void untilSignal().then(async () => {
    note('interrupted');
    interrupted.abort();
    // Files that are being written are written, so that nothing comes after they are removed; a step that is long
    // about it is not waited for.
    await Promise.race([work?.catch(() => undefined), setTimeout(GRACE_MS)]);
    process.exit(EXIT.interrupted);
  });
  // Loaded here: the other commands need no runtime.
  const { compressLocally } = await import('../../pipeline/local.js');
  work = compressLocally({
    model,
    calibration: options.calibration,
    evaluation: options.evaluation ?? null,
    spec,
    output: options.output,
    temporary,
    engine: spec.resources?.engine ?? config.ENGINE,
    threads: config.THREADS === 0 ? availableParallelism() : config.THREADS,
    limits: stepLimits(config),
    signal: interrupted.signal,
    ...(options.json ? {} : { onProgress: endsOnly(note), onEstimate: everySeconds(note) }),
  });
  const result = await work.catch((error: unknown) => {
    if (interrupted.signal.aborted) process.exit(EXIT.interrupted);
    throw error;
  });
  if (options.json) printJson({ ...result, output: options.output });
  else {
    for (const { point, layers } of result.points) {
      if (result.points.length > 1) print(`point ${String(point)}`);
      print(layerTable(layers));
      print('');
    }
    print(outcome(result.points));
    print(`written to  ${result.artifacts.map((name) => join(options.output, name)).join(', ')}`);
  }
  if (!somePasses(result.points)) process.exitCode = EXIT.verdict;
}

/** Between two lines about the whole job. */
const LINE_MS = 5000;

/** A line about the whole job, at most every five seconds; progress is told oftener than that. */
export function everySeconds(
  print: (line: string) => void,
  now: () => number = () => performance.now(),
): NonNullable<LocalOptions['onEstimate']> {
  let last = now();
  return (fraction, eta) => {
    if (now() - last < LINE_MS) return;
    last = now();
    const rest =
      eta === null ? '' : `, about ${eta < 90 ? `${eta.toFixed(0)} s` : `${(eta / 60).toFixed(0)} min`} left`;
    print(`${(100 * fraction).toFixed(0)} %${rest}`);
  };
}

/** A line for every step and layer that ends. A step may tell its end itself before it is told for it. */
export function endsOnly(print: (line: string) => void): NonNullable<LocalOptions['onProgress']> {
  const ended = new Set<string>();
  return (kind, layer, fraction, point) => {
    const step = `${kind} ${String(layer?.index)} ${String(point)}`;
    if (fraction !== 1 || ended.has(step)) return;
    ended.add(step);
    if (layer !== null) print(`layer ${layer.name} done`);
    else print(point === null || point === 1 ? `${kind} done` : `${kind} of point ${String(point)} done`);
  };
}
