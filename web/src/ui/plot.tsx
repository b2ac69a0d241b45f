/** How all axes look. */
export const AXIS = {
  stroke: 'var(--line-strong)',
  tick: { fill: 'var(--muted)', fontSize: 12 },
  tickLine: false,
} as const;

interface Mark<Datum> {
  name?: unknown;
  value?: unknown;
  payload?: Datum;
}

interface Said {
  title: string;
  lines: readonly (readonly [name: string, value: string])[];
}

/** What the plotting library passes on, and how it is said in words. */
interface TipProps<Datum> {
  say: (marks: readonly Mark<Datum>[], label: unknown) => Said | null;
  active?: boolean;
  label?: unknown;
  payload?: readonly Mark<Datum>[];
}

/** What a mark stands for, beside the pointer. */
export function PlotTip<Datum>({ say, active, label, payload = [] }: TipProps<Datum>) {
  const said = active === true && payload.length > 0 ? say(payload, label) : null;
  if (said === null) return null;
  return (
    <div className="tooltip">
      <strong>{said.title}</strong>
      <dl>
        {said.lines.map(([name, value]) => (
          <div key={name} className="tip-line">
            <dt className="muted">{name}</dt>
            <dd className="number">{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

/** A line for every series. */
export const ofSeries =
  (title: (label: unknown) => string, show: (value: number) => string): TipProps<unknown>['say'] =>
  (marks, label) => ({
    title: title(label),
    lines: marks.map(({ name, value }) => [String(name), typeof value === 'number' ? show(value) : String(value)]),
  });

/** One mark, which stands for one thing. */
export const ofDot =
  <Datum,>(say: (datum: Datum) => Said): TipProps<Datum>['say'] =>
  ([mark]) =>
    mark?.payload === undefined ? null : say(mark.payload);

interface ChoiceProps<Axis extends string> {
  axes: Readonly<Record<Axis, { name: string }>>;
  chosen: Axis;
  choose: (axis: Axis) => void;
}

/** What the horizontal axis shows. */
export const AxisChoice = <Axis extends string>({ axes, chosen, choose }: ChoiceProps<Axis>) => (
  <div className="actions chips" role="group" aria-label="Horizontal axis">
    {(Object.keys(axes) as Axis[]).map((one) => (
      <button key={one} type="button" className="chip" aria-pressed={one === chosen} onClick={() => choose(one)}>
        {axes[one].name}
      </button>
    ))}
  </div>
);

/** From no change on, or from below where something got worse; whole numbers where there are few. */
export function ratioAxis(values: readonly number[]): { domain: [number, number]; ticks: number[] } {
  const low = Math.min(1, ...values.map((value) => Math.floor(value * 2) / 2));
  const high = Math.max(2, ...values.map((value) => Math.ceil(value + 0.05)));
  const step = [1, 2, 5, 10, 20, 50, 100].find((one) => (high - low) / one <= 10) ?? 200;
  const inner = Array.from({ length: Math.floor(high / step) }, (_, i) => (i + 1) * step);
  return { domain: [low, high], ticks: [...new Set([low, 1, ...inner])].filter((one) => one >= low) };
}
