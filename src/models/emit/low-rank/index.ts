import type { LowRankShape } from '../../low-rank/index.js';
import { channel } from './channel.js';
import type { LowRankEmitter } from './emitter.js';
import { pointwise } from './pointwise.js';
import { spatial } from './spatial.js';
import { tucker } from './tucker.js';

/** How each shape of the low-rank part is written. */
export const LOW_RANK_EMITTERS: Readonly<Record<LowRankShape, LowRankEmitter>> = {
  ...{ channel, tucker, spatial, pointwise },
};

export const lowRankBranch: LowRankEmitter = (b, part, bias, to) => LOW_RANK_EMITTERS[part.shape](b, part, bias, to);
