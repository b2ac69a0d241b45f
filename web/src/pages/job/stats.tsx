import type { Metrics } from '../../api/types.js';
import { agreementInterval, span } from './numbers.js';
import { bytes, compact, error, milliseconds, percent, points, ratio, speedInWords } from '../../format/numbers.js';

function Stat({ name, value, detail, kind = '' }: { name: string; value: string; detail: string; kind?: string }) {
  return (
    <div className="stat">
      <div className="stat-name">{name}</div>
      <div className={`stat-value ${kind}`}>{value}</div>
      <div className="stat-detail">{detail}</div>
    </div>
  );
}

/** The answer at a glance. */
export function Stats({ metrics }: { metrics: Metrics }) {
  const { parameters, macs, bytes: size, latency, accuracy, fidelity, speedup } = metrics;
  const [first] = latency;
  return (
    <div className="stats">
      <Stat
        name="Parameters"
        value={`${ratio(parameters.ratio)} fewer`}
        detail={`${compact(parameters.before)} → ${compact(parameters.after)}`}
      />
      <Stat
        name="MACs"
        value={`${ratio(macs.ratio)} fewer`}
        detail={`${compact(macs.before)} → ${compact(macs.after)}`}
      />
      <Stat
        name="File"
        value={`${ratio(size.ratio)} smaller`}
        detail={`${bytes(size.before)} → ${bytes(size.after)}`}
      />
      <Stat
        name={first === undefined ? 'Speed' : `Speed, batch ${first.batch}`}
        value={speedInWords(first?.speedup ?? speedup)}
        detail={first === undefined ? '' : `${milliseconds(first.before_ms.p50)} → ${milliseconds(first.after_ms.p50)}`}
      />
      {accuracy === null ? (
        <Stat
          name={fidelity.top1_agreement === null ? 'Relative error' : 'Same answers'}
          value={fidelity.top1_agreement === null ? error(fidelity.relative_error) : percent(fidelity.top1_agreement)}
          detail={`${
            fidelity.top1_agreement === null
              ? span(fidelity.relative_error_ci95 ?? [], error)
              : span(agreementInterval(fidelity), (share) => percent(share))
          }, ${fidelity.samples.toLocaleString('en')} samples`}
        />
      ) : (
        <Stat
          name="Accuracy"
          value={points(-accuracy.drop)}
          detail={`${percent(accuracy.before)} → ${percent(accuracy.after)}`}
        />
      )}
    </div>
  );
}
