import type { InferenceSession } from 'onnxruntime-node';
import { DEVICE_WARNING, type RuntimeDevice, type Session } from '../../runtime/session.js';

type Feeds = InferenceSession.FeedsType;
type Results = InferenceSession.ReturnType;

/**
 * Root mean square of a difference, relative to the values. Sums in another order come to a hundred-thousandth, and to much more in gradients of
 * networks that are near to what they learn from: those are of differences.
 */
const ALIKE = 0.01;
/** Of places, classes and other whole numbers, the share that may differ: two may be as near as rounding. */
const OTHERS = 0.01;

/**
 * A session on a device, for one run at a time, with the processor behind it: it takes over where the device cannot have the network, where its first run gives something
 * else, and where a run fails.
 */
export class GuardedSession {
  private compared = false;

  private constructor(
    private session: Session,
    private at: RuntimeDevice,
    /** The same on the processor; null there, which also lets go of the model. */
    private reopen: (() => Promise<Session>) | null,
  ) {}

  static async open(device: RuntimeDevice, open: (device: RuntimeDevice) => Promise<Session>): Promise<GuardedSession> {
    if (device === 'cpu') return new GuardedSession(await open('cpu'), 'cpu', null);
    try {
      return new GuardedSession(await open(device), device, () => open('cpu'));
    } catch (cause) {
      const processor = await open('cpu');
      warn(device, cause);
      return new GuardedSession(processor, 'cpu', null);
    }
  }

  /** Where it runs, as far as is known by now. */
  get device(): RuntimeDevice {
    return this.at;
  }

  get inputMetadata(): readonly InferenceSession.ValueMetadata[] {
    return this.session.inputMetadata;
  }

  get outputMetadata(): readonly InferenceSession.ValueMetadata[] {
    return this.session.outputMetadata;
  }

  async run(feeds: Feeds): Promise<Results> {
    if (this.reopen === null) return this.session.run(feeds);
    let failed: unknown = null;
    const made = await this.session.run(feeds).catch((cause: unknown) => {
      failed = cause;
      return null;
    });
    if (made !== null && this.compared) return made;
    const processor = await this.reopen();
    let expected: Results;
    try {
      expected = await processor.run(feeds);
    } catch (error) {
      // What neither can run is no fault of the device.
      await processor.release();
      throw error;
    }
    this.compared = true;
    if (made !== null && areAlike(made, expected)) {
      await processor.release();
      return made;
    }
    warn(this.at, made === null ? failed : new Error('it gave other values than the processor'));
    const { session } = this;
    [this.session, this.at, this.reopen] = [processor, 'cpu', null];
    // Of a device that is lost nothing can be released.
    await session.release().catch(() => undefined);
    return expected;
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** The job goes on, more slowly. */
function warn(device: RuntimeDevice, cause: unknown): void {
  const [first = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
  process.emitWarning(`a network runs on the processor instead of ${device}: ${first}`, DEVICE_WARNING);
}

function areAlike(made: Results, expected: Results): boolean {
  return Object.entries(expected).every(([name, { data }]) => {
    const own = made[name]?.data;
    if (own?.length !== data.length) return false;
    if (data instanceof Float32Array && own instanceof Float32Array) return areNear(own, data);
    let others = 0;
    for (let i = 0; i < data.length; i++) if (own[i] !== data[i]) others++;
    return others <= OTHERS * data.length;
  });
}

/** Values that are no numbers have to be the same. */
function areNear(made: Float32Array, expected: Float32Array): boolean {
  let [difference, squares] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const [own, wanted] = [made[i], expected[i]];
    if (!Number.isFinite(wanted)) {
      if (!Object.is(own, wanted)) return false;
      continue;
    }
    difference += (own - wanted) ** 2;
    squares += wanted ** 2;
  }
  return difference <= ALIKE ** 2 * squares;
}
