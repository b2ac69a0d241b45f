import type { Verdict } from '../../api/types.js';
import { bytes, NONE, percent, ratio } from '../../format/numbers.js';
import { Icon } from '../../ui/icon.js';

const NAMES: Record<string, string> = {
  parameter_ratio: 'Fewer parameters',
  mac_ratio: 'Fewer MACs',
  nonzero_ratio: 'Fewer nonzeros',
  bytes_ratio: 'Smaller file',
  speedup: 'Faster',
  min_parameter_ratio: 'Fewer parameters',
  min_mac_ratio: 'Fewer MACs',
  min_speedup: 'Faster',
  min_bytes_ratio: 'Smaller file',
  max_accuracy_drop: 'Accuracy lost',
  min_agreement: 'Same answers',
  max_relative_error: 'Relative error',
  max_bytes: 'File',
};

/** Without where it was asked for: `target.speedup`. */
const plain = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

function show(name: string, value: number | null): string {
  if (value === null) return NONE;
  if (/accuracy|agreement/.test(name)) return percent(value);
  if (/ratio|speedup/.test(name)) return ratio(value);
  return plain(name) === 'max_bytes' ? bytes(value) : value.toFixed(4);
}

/** Whether everything that was asked for holds, and what to know besides. */
export function VerdictCard({ verdict }: { verdict: Verdict }) {
  return (
    <section className="card" aria-labelledby="verdict">
      <div className="card-head">
        <h2 id="verdict">Verdict</h2>
        <span className={`badge ${verdict.passed ? 'is-good' : 'is-warn'}`}>
          <Icon name={verdict.passed ? 'check' : 'alert'} size={13} />{' '}
          {verdict.passed ? 'Everything holds' : 'Not everything holds'}
        </span>
      </div>
      <ul className="checks">
        {verdict.checks.map(({ name, required, measured, passed }) => (
          <li key={name}>
            <span className={passed ? 'good' : 'bad'}>
              <Icon name={passed ? 'check' : 'cross'} />
              <span className="visually-hidden">{passed ? 'holds' : 'does not hold'}</span>
            </span>
            <span>{NAMES[plain(name)] ?? name}</span>
            <span className="number">
              <b>{show(name, measured)}</b>{' '}
              <span className="muted">
                {/max_/.test(name) ? 'at most' : 'at least'} {show(name, required)}
              </span>
            </span>
          </li>
        ))}
      </ul>
      {(verdict.warnings ?? []).map(({ code, cause, next }) => (
        <div key={code} className="notice notice-warn verdict-warning">
          <Icon name="alert" />
          <div>
            <p className="notice-title">{cause}</p>
            <p>{next}</p>
          </div>
        </div>
      ))}
    </section>
  );
}
