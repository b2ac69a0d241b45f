import type { Activation } from '../../models/activation.js';
import { clipStep } from './clip.js';
import { hardSwishStep } from './hard-swish.js';
import { identityStep } from './identity.js';
import { leakyReluStep } from './leaky-relu.js';
import { reluStep } from './relu.js';
import { searchStep } from './search.js';
import type { ZStep } from './step.js';

/** The step for an activation, and in words how it is solved. */
export function zStep(activation: Activation): { step: ZStep; note: string } {
  switch (activation.kind) {
    case 'identity':
      return { step: identityStep, note: 'identity: exact' };
    case 'relu':
      return { step: reluStep, note: 'relu: exact, better of two branches' };
    case 'clip':
      return { step: clipStep(activation.min, activation.max, 1, 0), note: 'clip: exact, best of three branches' };
    case 'hard_sigmoid': {
      const { alpha, beta } = activation;
      if (!(alpha > 0)) break;
      const step = clipStep(-beta / alpha, (1 - beta) / alpha, alpha, beta);
      return { step, note: 'hard_sigmoid: exact, best of three branches' };
    }
    case 'hard_swish':
      return { step: hardSwishStep, note: 'hard_swish: exact, best of four branches' };
    case 'leaky_relu':
      return { step: leakyReluStep(activation.alpha), note: 'leaky_relu: exact, better of two branches' };
  }
  return {
    step: searchStep(activation),
    note: `${activation.kind}: scan of the bracket, then safeguarded Gauss-Newton`,
  };
}
