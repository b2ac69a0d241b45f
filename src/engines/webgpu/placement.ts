import type { Cost, Placement } from './engine.js';

/*
 * Measured through ONNX Runtime 1.30 on an NVIDIA H200 (driver 580) beside 16 cores: bench/engines.ts. A call costs a
 * millisecond, results come back at a twentieth of what the bus could do, and the rest is small beside them.
 */
const CALL_SECONDS = 1e-3;
const SENT_BYTES_PER_SECOND = 2.3e9;
const RECEIVED_BYTES_PER_SECOND = 1.3e9;
const DEVICE_FLOPS_PER_SECOND = 10e12;
const THREAD_FLOPS_PER_SECOND = 75e9;
/**
 * What is hardly faster stays where it is: results of many megabytes came back more slowly beside the solver's own
 * work.
 */
const WORTH = 0.5;

/**
 * From measured rates rather than rates of this machine: the same product is computed in the same place every time, and
 * so gives the same bits.
 */
export const expectedFaster =
  (threads: number): Placement =>
  ({ flops, sent, received }: Cost) => {
    const transfers = sent / SENT_BYTES_PER_SECOND + received / RECEIVED_BYTES_PER_SECOND;
    const device = CALL_SECONDS + transfers + flops / DEVICE_FLOPS_PER_SECOND;
    return device < (WORTH * flops) / (threads * THREAD_FLOPS_PER_SECOND);
  };
