import dagre from '@dagrejs/dagre';
import { Background, Controls, Handle, type Edge, type Node, type NodeProps, Position, ReactFlow } from '@xyflow/react';
import '@xyflow/react/dist/style.css';
import { useMemo, useRef, useState } from 'react';
import { useLayers } from '../../api/job.js';
import { type NetworkNode, useNetwork } from '../../api/network.js';
import type { Job, LayerRow } from '../../api/types.js';
import { madeOf, shortName } from '../../format/layer.js';
import { compact, count, error, milliseconds, ratio } from '../../format/numbers.js';
import { Loaded } from '../../ui/query.js';
import './network.css';

const WIDTH = 232;
const HEIGHT = 62;
const SMALL = { width: 132, height: 30 };

type BoxData = { node: NetworkNode; row: LayerRow | null };
type Box = Node<BoxData, 'box'>;

const kindOf = (row: LayerRow | null): string =>
  row === null
    ? 'box-small'
    : row.decision === 'compressed'
      ? 'box-compressed'
      : row.decision === null
        ? 'box-waits'
        : row.decision === 'dropped'
          ? 'box-dropped'
          : 'box-kept';

function BoxView({ data: { node, row }, selected }: NodeProps<Box>) {
  return (
    <div className={`box ${kindOf(row)} ${selected ? 'box-chosen' : ''}`}>
      <Handle type="target" position={Position.Top} isConnectable={false} />
      {row === null ? (
        node.op
      ) : (
        <>
          <div className="box-line">
            <b>{row.op}</b>
            <span className="muted">{row.shape.join('×')}</span>
          </div>
          <div className="box-line">
            <span className="truncate">
              {row.decision === 'compressed' || row.decision === 'dropped' ? madeOf(row) : (row.reason ?? 'waits')}
            </span>
            {row.decision === 'compressed' ? <b>{ratio(row.parameters.ratio)}</b> : null}
          </div>
        </>
      )}
      <Handle type="source" position={Position.Bottom} isConnectable={false} />
    </div>
  );
}

const TYPES = { box: BoxView };

/** Layers from the input down, by dagre. */
function layOut(nodes: NetworkNode[], rows: Map<number, LayerRow>): { boxes: Box[]; edges: Edge[] } {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: 'TB', nodesep: 28, ranksep: 26 });
  graph.setDefaultEdgeLabel(() => ({}));
  const rowOf = ({ layer }: NetworkNode) => (layer === null ? null : (rows.get(layer) ?? null));
  for (const [i, node] of nodes.entries())
    graph.setNode(String(i), rowOf(node) === null ? { ...SMALL } : { width: WIDTH, height: HEIGHT });
  const edges: Edge[] = nodes.flatMap((node, i) =>
    [...new Set(node.inputs)].map((from) => ({
      id: `${from}-${i}`,
      source: String(from),
      target: String(i),
      focusable: false,
    })),
  );
  for (const { source, target } of edges) graph.setEdge(source, target);
  dagre.layout(graph);
  const boxes = nodes.map((node, i): Box => {
    const place = graph.node(String(i)) as { x: number; y: number; width: number; height: number };
    const row = rowOf(node);
    return {
      id: String(i),
      type: 'box',
      data: { node, row },
      position: { x: place.x - place.width / 2, y: place.y - place.height / 2 },
      width: place.width,
      height: place.height,
      ariaLabel: row === null ? node.op : `${row.name}, ${row.op}, ${madeOf(row)}`,
    };
  });
  return { boxes, edges };
}

function Facts({ data: { node, row } }: { data: BoxData }) {
  return (
    <div className="card-body">
      <h3>{row === null ? node.op : shortName(row.name)}</h3>
      <p className="mono small muted wrap">{node.name}</p>
      {row === null ? (
        <p className="muted">Has no weights: it stays as it is.</p>
      ) : (
        <dl className="facts">
          <dt>Weights</dt>
          <dd className="mono">{row.shape.join(' × ')}</dd>
          <dt>Decision</dt>
          <dd>
            {row.decision ?? 'not made yet'}
            {row.reason === null ? '' : `: ${row.reason}`}
          </dd>
          {row.decision === 'compressed' ? (
            <>
              <dt>Became</dt>
              <dd>{madeOf(row)}</dd>
            </>
          ) : null}
          <dt>Parameters</dt>
          <dd>
            {count(row.parameters.before)} → {count(row.parameters.after)} ({ratio(row.parameters.ratio)})
          </dd>
          <dt>MACs</dt>
          <dd>
            {compact(row.macs.before)} → {compact(row.macs.after)} ({ratio(row.macs.ratio)})
          </dd>
          <dt>Error</dt>
          <dd>{error(row.relative_error)}</dd>
          {row.latency_ms === null ? null : (
            <>
              <dt>Time</dt>
              <dd>
                {milliseconds(row.latency_ms.before)} → {milliseconds(row.latency_ms.after)}
              </dd>
            </>
          )}
          {row.note === null ? null : (
            <>
              <dt>Solved</dt>
              <dd>{row.note}</dd>
            </>
          )}
        </dl>
      )}
    </div>
  );
}

/** Texts are read easily, and much is seen. */
const ZOOM = 0.9;

function Drawing({ nodes, rows }: { nodes: NetworkNode[]; rows: LayerRow[] }) {
  const { boxes, edges } = useMemo(() => layOut(nodes, new Map(rows.map((row) => [row.index, row]))), [nodes, rows]);
  const frame = useRef<HTMLDivElement>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const shown = boxes.map((box) => (box.id === chosen ? { ...box, selected: true } : box));
  const data = boxes.find(({ id }) => id === chosen)?.data;
  const changed = rows.filter(({ decision }) => decision === 'compressed').length;
  const gone = rows.filter(({ decision }) => decision === 'dropped').length;
  return (
    <section className="card" aria-labelledby="network">
      <div className="card-head">
        <h2 id="network">Network</h2>
        <span className="muted small">
          {nodes.length} operations, {rows.length} layers with weights, {changed} of them compressed
          {gone === 0 ? '' : `, ${gone} left out`}
        </span>
        <div className="legend">
          <span className="key key-after">compressed</span>
          <span className="key key-before">kept</span>
        </div>
      </div>
      <div className="network">
        <div className="network-drawing" ref={frame}>
          <ReactFlow
            nodes={shown}
            edges={edges}
            nodeTypes={TYPES}
            nodesDraggable={false}
            nodesConnectable={false}
            edgesFocusable={false}
            onlyRenderVisibleElements={nodes.length > 200}
            onNodeClick={(_event, { id }) => setChosen(id)}
            onSelectionChange={({ nodes: selected }) => selected[0] !== undefined && setChosen(selected[0].id)}
            minZoom={0.05}
            fitView={nodes.length < 12}
            onInit={(flow) => {
              if (nodes.length < 12) return;
              // From the input down, in the middle.
              const { x, width } = flow.getNodesBounds(boxes);
              const place = frame.current?.clientWidth ?? 0;
              const left = Math.max(24, (place - width * ZOOM) / 2);
              void flow.setViewport({ x: left - x * ZOOM, y: 16, zoom: ZOOM });
            }}
            proOptions={{ hideAttribution: false }}
            aria-label="The network from its input down"
          >
            <Background gap={18} color="var(--line)" />
            <Controls showInteractive={false} />
          </ReactFlow>
        </div>
        <aside className="network-facts" aria-live="polite">
          {data === undefined ? (
            <p className="card-body muted">
              Choose a box to see what became of it. Drag to move, scroll or pinch to zoom.
            </p>
          ) : (
            <Facts data={data} />
          )}
        </aside>
      </div>
    </section>
  );
}

/** The network drawn, with what changed. */
export function Network({ job, point }: { job: Job; point: number }) {
  const layers = useLayers(job.id, point);
  const network = useNetwork(job.id, (layers.data?.length ?? 0) > 0);
  return (
    <Loaded query={layers} what="layers">
      {(rows) =>
        rows.length === 0 ? (
          <div className="card empty">
            <h2>Not drawn yet</h2>
            <p>The network is known once a worker has inspected the model.</p>
          </div>
        ) : (
          <Loaded query={network} what="network">
            {({ nodes }) => <Drawing nodes={nodes} rows={rows} />}
          </Loaded>
        )
      }
    </Loaded>
  );
}
