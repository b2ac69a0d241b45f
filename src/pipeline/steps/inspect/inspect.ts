import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createEngine } from '../../../engines/index.js';
import type { Assignment, ExpectedSeconds, InspectResult } from '../../../jobs/tasks.js';
import { type Layer } from '../../../models/index.js';
import { checkInputs, nothingToCompress, summarize } from './check.js';
import { expectedInspection } from '../../cost/expected.js';
import { ActivationStore } from '../../files/activation-store.js';
import { expectation } from './expect.js';
import { graphOf } from './graph.js';
import { sampledMetrics, type LayerMetrics } from './output-metrics.js';
import { files } from '../../files/step-files.js';
import { newRow } from '../../files/layer-rows.js';
import { openNetwork, type Network } from '../../network/network.js';
import { measureBranches } from './branch-effects.js';
import { capture } from './capture.js';
import { measureCurves } from './measure-curves.js';
import type { StepContext } from '../../step.js';

/**
 * Reads and checks everything the client sent, samples the inputs of every layer in one pass over the calibration data,
 * and measures each layer's error against its cost and against the network's output.
 */
export async function inspect(assignment: Assignment, given: StepContext): Promise<InspectResult> {
  const started = performance.now();
  const output = join(given.directory, 'output');
  await mkdir(output, { recursive: true });
  const network = await openNetwork(given, assignment);
  try {
    const checked = await checkInputs(assignment, given, network);
    const engine = await createEngine(given.engine, { threads: given.threads });
    const store = new ActivationStore(given.directory);
    let layers: Layer[];
    const { plan, counted, ...expecting } = expectation(network, checked, assignment.spec);
    given.expect?.(expecting.seconds);
    const pace = paceOf(started, expecting.afterInspection);
    const context: StepContext = {
      ...given,
      progress: (fraction) => {
        if (pace.isDue()) given.expect?.(pace.expected(fraction));
        given.progress(fraction);
      },
    };
    try {
      const parts = expectedInspection(counted);
      const before = parts.layers.reduce((sum, seconds) => sum + seconds, parts.capture);
      const all = before + parts.branches;
      const within = (begin: number, length: number) => (share: number) => {
        context.progress((begin + share * length) / all);
      };
      const captured = await capture(network, checked, {
        ...{ kept: plan.images, store, assignment, output },
        context: { ...context, progress: within(0, parts.capture) },
      });
      layers = left(checked, captured, network);
      const weighed = assignment.spec.method.error_metric === 'outputs';
      const samples = (index: number) => join(output, files.samples(index));
      const metrics: LayerMetrics = weighed
        ? await sampledMetrics(engine, network.prepared, { layers, samples, signal: context.signal })
        : new Map();
      const { spec } = assignment;
      const measuring = { engine, network, metrics, plan, store, spec, output };
      const begins = parts.layers.map((_, i) => parts.layers.slice(0, i).reduce((sum, s) => sum + s, parts.capture));
      const layerContext = (index: number): StepContext => ({
        ...context,
        progress: within(begins[index] ?? 0, parts.layers[index] ?? 0),
      });
      const { curves, broken } = await measureCurves(measuring, layers, layerContext);
      layers = left(layers, broken, network);
      const branches = await measureBranches(
        network,
        layers,
        { spec, images: plan.images },
        { ...context, progress: within(before, parts.branches) },
      );
      await writeFile(join(output, files.curves), JSON.stringify({ ...curves, branches, images: network.images }));
    } finally {
      await store.close();
      await engine.dispose();
    }
    const expected = pace.expected(1);
    given.expect?.(expected);
    const model = await summarize(assignment, given, network);
    const rows = layers.map((layer, index) => newRow(layer, index, assignment.spec.method.pattern));
    return { model, layers: rows, graph: graphOf(network, layers), expected, distillation: expecting.distillation };
  } finally {
    await network.close();
  }
}

/** Seconds from which on the pace of a part of the inspection is that of all, and between one look and the next. */
const FIRST_LOOK = 3;

/** The pace of this machine, by what the inspection takes of what it was expected to. */
function paceOf(started: number, afterInspection: (seconds: number) => ExpectedSeconds) {
  const taken = () => (performance.now() - started) / 1000;
  let next = FIRST_LOOK;
  return {
    isDue(): boolean {
      if (taken() < next) return false;
      next = taken() + FIRST_LOOK;
      return true;
    },
    /** @param fraction of the inspection that is done */
    expected: (fraction: number): ExpectedSeconds => afterInspection(taken() / Math.max(0.01, fraction)),
  };
}

/**
 * The layers without those that cannot be fitted, by index with the reason: one that is at fault stays dense, and the
 * others go on.
 * @throws {InputError} when none is left
 */
function left(layers: readonly Layer[], unfit: ReadonlyMap<number, string>, network: Network): Layer[] {
  const kept = layers.map((layer, index) => ({ ...layer, blocked: layer.blocked ?? unfit.get(index) ?? null }));
  if (unfit.size === 0) return kept;
  if (kept.every((layer) => layer.blocked !== null))
    throw nothingToCompress(
      kept,
      network.calibration.faults('').map(({ pointer }) => pointer),
    );
  return kept;
}
