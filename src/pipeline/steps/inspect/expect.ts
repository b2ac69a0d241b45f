import type { Spec } from '../../../jobs/spec.js';
import type { ExpectedSeconds } from '../../../jobs/tasks.js';
import type { Layer } from '../../../models/index.js';
import { distillationAllowed, expectedSeconds, type Expected } from '../../cost/expected.js';
import { splitSamples } from '../../network/held-out.js';
import type { Network } from '../../network/network.js';
import { branchWork, possibleBranches } from './branch-effects.js';
import { planProbes, type ProbePlan } from './probe-plan.js';

export interface Expectation {
  plan: ProbePlan;
  /** What the inspection alone is counted from. */
  counted: Omit<Expected, 'spec' | 'measured' | 'format'>;
  seconds: ExpectedSeconds;
  /** The same, knowing how long the inspection took. */
  afterInspection: (seconds: number) => ExpectedSeconds;
  /** Seconds that the effort leaves for the distillation of each target. */
  distillation: readonly number[];
}

/** What a job on these files takes, counted before anything of it is computed. */
export function expectation(network: Network, layers: readonly Layer[], spec: Spec): Expectation {
  const { images, samples, batch, fixedBatch } = network;
  const plan = planProbes(layers, images, batch, fixedBatch !== null);
  const branches = branchWork(network, possibleBranches(network, layers, spec), plan.images);
  const counted = { layers, images, samples, probes: plan, branches };
  const measured = splitSamples(images, 0, null).heldOut.length;
  const expected = { ...counted, spec, measured, format: network.original.format };
  const seconds = expectedSeconds(expected);
  const afterInspection = (taken: number) => expectedSeconds({ ...expected, pace: taken / seconds.inspect });
  return { plan, counted, seconds, afterInspection, distillation: distillationAllowed(expected) };
}
