import { renderToStaticMarkup } from 'react-dom/server';
import type { ReactNode } from 'react';
import type { Metrics, Verdict } from '../../../../jobs/results.js';
import type { MeasuredPoint } from '../../../../jobs/tasks.js';
import { Curve } from '../curve-plot.js';
import type { Report } from '../report.js';
import { Figures } from './figures.js';
import { LayerPlot, LayerTable } from './layers.js';
import { STYLE } from './style.js';
import {
  count,
  errorText,
  intervalText,
  measuredOnText,
  percent,
  ratio,
  tensorflowText,
  whyNotDistilled,
} from '../../../../jobs/words.js';
import { bytes } from './words.js';

export interface PageContent {
  report: Report;
  measured: readonly MeasuredPoint[];
  /** As the client named the model. */
  filename: string;
}

/**
 * One file of HTML: no scripts, nothing from other hosts, readable in light, dark and print. Whatever a model names is
 * escaped.
 */
export function reportPage(content: PageContent): string {
  return `<!doctype html>\n${renderToStaticMarkup(<Page {...content} />)}\n`;
}

function Page({ report, measured, filename }: PageContent) {
  const { metrics, verdict, layers, points } = report;
  return (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <meta httpEquiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>{`${filename}: ${ratio(metrics.parameters.ratio)} fewer parameters`}</title>
        <style dangerouslySetInnerHTML={{ __html: STYLE }} />
      </head>
      <body>
        <header>
          <h1>{filename}</h1>
          <Badge passed={verdict.passed} />
          <p>
            {`${targetText(points[0]?.target)} asked, ${ratio(metrics.parameters.ratio)} fewer parameters and ${ratio(metrics.speedup)} the speed given`}
          </p>
        </header>
        <main>
          <Figures metrics={metrics} />
          <VerdictOf verdict={verdict} />
          {points.length > 1 ? (
            <Section title="Points of the trade-off curve">
              <Curve points={measured} />
              <Points points={points} />
            </Section>
          ) : null}
          <Section title="Layers">
            <LayerPlot layers={layers} />
          </Section>
          <Section title="Every layer in numbers">
            <LayerTable layers={layers} />
          </Section>
          <Section title="How it was measured">
            <Measured metrics={metrics} />
          </Section>
          <Section title="What was asked">
            <pre>{JSON.stringify(report.spec, null, 2)}</pre>
          </Section>
        </main>
        <footer>{`Made by Sparank ${report.version}${report.job_id === 'local' ? '' : `, job ${report.job_id}`}`}</footer>
      </body>
    </html>
  );
}

const Section = ({ title, children }: { title: string; children: ReactNode }) => (
  <section>
    <h2>{title}</h2>
    {children}
  </section>
);

const Badge = ({ passed }: { passed: boolean }) => (
  <span className={`badge ${passed ? 'passed' : 'failed'}`}>{passed ? 'passed' : 'failed'}</span>
);

function VerdictOf({ verdict }: { verdict: Verdict }) {
  return (
    <Section title="Verdict">
      <ul>
        {verdict.checks.map(({ name, required, measured, passed }) => (
          <li key={name}>
            <span className={passed ? 'passed' : 'failed'}>{passed ? 'passed' : 'failed'}</span>
            {` ${name}: ${number(required)} asked, ${measured === null ? 'not measured' : `${number(measured)} measured`}`}
          </li>
        ))}
        {(verdict.warnings ?? []).map(({ code, cause, next }) => (
          <li key={code}>
            <span className="warning">warning</span>
            {` ${cause}. What to do: ${next}.`}
          </li>
        ))}
      </ul>
    </Section>
  );
}

const number = (value: number): string => String(Number(value.toPrecision(5)));

function Points({ points }: { points: Report['points'] }) {
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            {['Point', 'Target', 'Model', 'Parameters', 'MACs', 'Speed', 'Accuracy', 'Output error', 'Verdict'].map(
              (head) => (
                <th key={head} className={head === 'Target' || head === 'Model' ? 'text' : undefined}>
                  {head}
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody>
          {points.map((point) => (
            <tr key={point.point}>
              <td>{point.point}</td>
              <td className="text">{targetText(point.target)}</td>
              {'metrics' in point ? (
                <>
                  <td className="text">{point.model}</td>
                  <td>{ratio(point.metrics.parameters.ratio)}</td>
                  <td>{ratio(point.metrics.macs.ratio)}</td>
                  <td>{ratio(point.metrics.speedup)}</td>
                  <td>{point.metrics.accuracy === null ? '–' : percent(point.metrics.accuracy.after)}</td>
                  <td title={intervalText(point.metrics.fidelity.relative_error_ci95, errorText)}>
                    {errorText(point.metrics.fidelity.relative_error)}
                  </td>
                  <td>
                    <Badge passed={point.verdict.passed} />
                  </td>
                </>
              ) : (
                <td className="text reason" colSpan={7}>
                  {point.error?.detail ?? 'not reached'}
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const targetText = (target: object | undefined): string =>
  Object.entries(target ?? {})
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${String(value)}`)
    .join(', ');

function Measured({ metrics }: { metrics: Metrics }) {
  const { device, measured_on: on, latency, coding, memory, seconds } = metrics;
  const { distillation, not_distilled: undistilled } = metrics;
  const runs = latency.map(({ batch, runs: times }) => `${count(times)} at batch ${String(batch)}`).join(', ');
  return (
    <ul>
      <li>{`Speed on ${device.name}, ${String(device.threads)} threads, ${device.engine}; original and compressed in turn, ${runs}; medians`}</li>
      {metrics.tensorflowjs === undefined ? null : <li>{tensorflowText(metrics.tensorflowjs)}</li>}
      {on === undefined ? null : <li>{`Accuracy, agreement and error on ${measuredOnText(on)}`}</li>}
      {distillation === undefined ? null : <li>{`Distillation: ${distilledText(distillation)}`}</li>}
      {undistilled === undefined ? null : <li>{`No distillation: ${whyNotDistilled(undistilled)}`}</li>}
      {coding?.distillation === undefined ? null : (
        <li>{`Distillation with coded weights: ${distilledText(coding.distillation)}`}</li>
      )}
      {coding === undefined ? null : (
        <li>{`Weights as ${coding.coding}: ${bytes(coding.bytes.before)} → ${bytes(coding.bytes.after)} of the compressed file`}</li>
      )}
      <li>{`${seconds.device.toFixed(0)} seconds of work, ${seconds.queued.toFixed(0)} seconds in the queue`}</li>
      {memory === undefined ? null : <li>{`At most ${bytes(memory.peak_bytes)} of memory`}</li>}
    </ul>
  );
}

type Distilled = NonNullable<Metrics['distillation']>;

function distilledText({ passes, samples, held_out: heldOut, kept, variations = [], ...errors }: Distilled): string {
  const { relative_error_before: before, relative_error_after: after } = errors;
  const over = `${String(passes)} passes over ${count(samples)}${variations.length > 0 ? ' varied' : ''} samples, without labels`;
  return `${over}; error on ${count(heldOut)} held-out samples ${before.toFixed(4)} → ${after.toFixed(4)}${kept ? '' : ', not kept'}`;
}
