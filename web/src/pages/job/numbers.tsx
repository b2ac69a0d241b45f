import type { ReactNode } from 'react';
import type { Metrics } from '../../api/types.js';
import { bytes, count, error, milliseconds, NONE, percent, points, ratio } from '../../format/numbers.js';
import { duration } from '../../format/time.js';
import { TableScroll } from '../../ui/table-scroll.js';

interface Line {
  name: string;
  before: string;
  after: string;
  change: string;
  /** Where the true number is with 95 %. */
  interval: ReactNode;
}

const Z95 = 1.96;

/** Wilson's interval of a share: it stays within 0 and 1, and is right for few samples, too. */
function wilson(share: number, samples: number): [number, number] {
  const z2 = Z95 * Z95;
  const middle = (share + z2 / (2 * samples)) / (1 + z2 / samples);
  const half = (Z95 / (1 + z2 / samples)) * Math.sqrt((share * (1 - share)) / samples + z2 / (4 * samples * samples));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

export const accuracyInterval = ({ after, samples }: NonNullable<Metrics['accuracy']>): number[] =>
  wilson(after, samples);

/** Reports of older versions have none: of so many independent answers. */
export const agreementInterval = ({
  top1_agreement: share,
  top1_agreement_ci95: interval,
  samples,
}: Metrics['fidelity']): number[] => interval ?? (share === null ? [] : wilson(share, samples));

export const span = ([low, high]: readonly number[], show: (value: number) => string): string =>
  low === undefined || high === undefined ? NONE : `${show(low)} to ${show(high)}`;

function linesOf(metrics: Metrics): Line[] {
  const { parameters, nonzeros, macs, bytes: size, latency, accuracy, fidelity } = metrics;
  const exact = 'exact';
  const sizes: [string, typeof parameters | undefined, (value: number) => string][] = [
    ['Parameters', parameters, count],
    ['Nonzeros', nonzeros, count],
    ['MACs', macs, count],
    ['File', size, bytes],
  ];
  const share = (value: number) => percent(value);
  return [
    ...sizes.flatMap(([name, value, show]) =>
      value === undefined || (name === 'Nonzeros' && value.after === parameters.after)
        ? []
        : [{ name, before: show(value.before), after: show(value.after), change: ratio(value.ratio), interval: exact }],
    ),
    ...latency.map((one) => ({
      name: `Latency, batch ${one.batch}`,
      before: milliseconds(one.before_ms.p50),
      after: milliseconds(one.after_ms.p50),
      change: ratio(one.speedup),
      interval: `${span(one.speedup_ci95, ratio)} of ${one.runs} runs`,
    })),
    ...latency.map((one) => ({
      name: `95th percentile, batch ${one.batch}`,
      before: milliseconds(one.before_ms.p95),
      after: milliseconds(one.after_ms.p95),
      change: ratio(one.before_ms.p95 / one.after_ms.p95),
      interval: NONE,
    })),
    ...(accuracy === null
      ? []
      : [
          {
            name: 'Accuracy',
            before: share(accuracy.before),
            after: share(accuracy.after),
            change: points(-accuracy.drop),
            interval: `after: ${span(accuracyInterval(accuracy), share)}`,
          },
        ]),
    ...(fidelity.top1_agreement === null
      ? []
      : [
          {
            name: 'Same answers',
            before: NONE,
            after: share(fidelity.top1_agreement),
            change: NONE,
            interval: span(agreementInterval(fidelity), share),
          },
        ]),
    {
      name: 'Relative error of outputs',
      before: NONE,
      after: error(fidelity.relative_error),
      change: NONE,
      interval: span(fidelity.relative_error_ci95 ?? [], error),
    },
  ];
}

const MEASURED_ON = {
  evaluation: 'the evaluation data',
  held_out: 'calibration samples that nothing was fitted to',
  calibration: 'the samples that layers were fitted on: new data fares worse',
};

const WHY_NOT_DISTILLED: Record<NonNullable<Metrics['not_distilled']>, string> = {
  near: 'the outputs are near enough to those of the original for this effort',
  few_samples: 'there are fewer than 64 calibration samples',
  beyond_effort: 'a gain would take more work than the effort leaves; a larger effort may bring it',
  operators: 'the network has operators that cannot be differentiated',
};

function distilled(report: NonNullable<Metrics['distillation']>): string {
  const { passes, relative_error_before: before, relative_error_after: after, kept } = report;
  return `${passes} passes: error ${error(before)} → ${error(after)} on held-out samples${kept ? '' : ', and that was not kept'}`;
}

/** Every number before and after, with its interval. */
export function Numbers({ metrics }: { metrics: Metrics }) {
  const { measured_on, device, seconds, distillation, not_distilled, memory, coding } = metrics;
  return (
    <section className="card" aria-labelledby="numbers">
      <div className="card-head">
        <h2 id="numbers">Before and after</h2>
        <span className="muted small">
          {device.name}, {device.engine}, {device.threads} {device.threads === 1 ? 'thread' : 'threads'}
        </span>
      </div>
      <TableScroll label="Numbers">
        <table className="table">
          <thead>
            <tr>
              <th>Number</th>
              <th className="number">Before</th>
              <th className="number">After</th>
              <th className="number">Change</th>
              <th>95 % interval</th>
            </tr>
          </thead>
          <tbody>
            {linesOf(metrics).map(({ name, before, after, change, interval }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td className="number muted">{before}</td>
                <td className="number">{after}</td>
                <td className="number">
                  <b>{change}</b>
                </td>
                <td className="muted">{interval}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </TableScroll>
      <div className="card-foot small muted">
        {measured_on === undefined ? null : (
          <p>
            Accuracy and error are of {measured_on.samples.toLocaleString('en')} samples of{' '}
            {MEASURED_ON[measured_on.data]}.
          </p>
        )}
        {coding === undefined ? null : (
          <p>
            Weights are kept as {coding.coding}: the file is {ratio(coding.bytes.ratio)} smaller than with float32
            {coding.uncoded.accuracy === null ? '' : `, whose accuracy was ${percent(coding.uncoded.accuracy.after)}`}.
          </p>
        )}
        {distillation === undefined ? null : <p>All layers were changed together in {distilled(distillation)}.</p>}
        {not_distilled === undefined ? null : (
          <p>Layers were not changed together: {WHY_NOT_DISTILLED[not_distilled]}.</p>
        )}
        {coding?.distillation === undefined ? null : (
          <p>With coded weights they were changed in {distilled(coding.distillation)}.</p>
        )}
        <p>
          Queued {duration(seconds.queued)}, ran {duration(seconds.running)}, {duration(seconds.device)} of devices
          {memory === undefined ? '' : `, at most ${bytes(memory.peak_bytes)} of memory`}.
        </p>
      </div>
    </section>
  );
}
