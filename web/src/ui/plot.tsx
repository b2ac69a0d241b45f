/** How all axes look. */
export const AXIS = {
  stroke: 'var(--line-strong)',
  tick: { fill: 'var(--muted)', fontSize: 12 },
  tickLine: false,
} as const;

interface TipProps {
  show: (value: number) => string;
  title: (label: unknown) => string;
  active?: boolean;
  label?: unknown;
  payload?: readonly { name?: unknown; value?: unknown; color?: string }[];
}

/** What a mark stands for, beside the pointer. */
export function PlotTip({ show, title, active, label, payload = [] }: TipProps) {
  if (active !== true || payload.length === 0) return null;
  return (
    <div className="tooltip">
      <strong>{title(label)}</strong>
      {payload.map(({ name, value }) => (
        <div key={String(name)} className="tip-line">
          <span className="muted">{String(name)}</span> {typeof value === 'number' ? show(value) : String(value)}
        </div>
      ))}
    </div>
  );
}

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
