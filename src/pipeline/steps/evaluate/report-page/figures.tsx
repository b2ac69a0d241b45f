import type { Metrics } from '../../../../jobs/results.js';
import { count, errorText, intervalText, percent, ratio } from '../../../../jobs/words.js';
import { bytes, milliseconds } from './words.js';

interface Figure {
  name: string;
  value: string;
  detail: string;
}

/** The numbers that a reader looks for first. */
export function Figures({ metrics }: { metrics: Metrics }) {
  return (
    <dl className="figures">
      {figuresOf(metrics).map(({ name, value, detail }) => (
        <div className="figure" key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
          <dd>{detail}</dd>
        </div>
      ))}
    </dl>
  );
}

function figuresOf({ parameters, macs, bytes: file, latency, accuracy, fidelity }: Metrics): Figure[] {
  const sizes = [
    { name: 'Parameters', of: parameters, text: count },
    { name: 'MACs', of: macs, text: count },
    { name: 'File', of: file, text: bytes },
  ].map(({ name, of, text }) => ({
    name,
    value: ratio(of.ratio),
    detail: `${text(of.before)} → ${text(of.after)}`,
  }));
  const speeds = latency.map(({ batch, speedup, speedup_ci95: [low = 0, high = 0], before_ms, after_ms }) => ({
    name: `Speed, batch ${String(batch)}`,
    value: ratio(speedup),
    detail: `${milliseconds(before_ms.p50)} → ${milliseconds(after_ms.p50)}, 95 % interval ${low.toFixed(2)} to ${high.toFixed(2)}`,
  }));
  const quality: Figure[] = [];
  if (accuracy !== null) {
    const { before, after, drop } = accuracy;
    const points = `${drop > 0 ? '−' : '+'}${Math.abs(100 * drop).toFixed(2)} points`;
    quality.push({ name: 'Accuracy', value: percent(after), detail: `${percent(before)} before, ${points}` });
  }
  if (fidelity.top1_agreement !== null) {
    quality.push({
      name: 'Same answers',
      value: percent(fidelity.top1_agreement),
      detail: detail('top-1 answers that agree with the original', intervalText(fidelity.top1_agreement_ci95, percent)),
    });
  }
  quality.push({
    name: 'Output error',
    value: errorText(fidelity.relative_error),
    detail: detail(
      'root of the squared difference over the variance',
      intervalText(fidelity.relative_error_ci95, errorText),
    ),
  });
  return [...sizes, ...speeds, ...quality];
}

const detail = (what: string, interval: string): string => (interval === '' ? what : `${what}, ${interval}`);
