import type { Attributes, Context, SpanContext } from '@opentelemetry/api';
import type { Config } from '../config/index.js';
import type { Log } from './log.js';
import { VERSION } from '../config/version.js';

/** A span that runs. */
export interface OpenSpan {
  /** W3C trace context, for what happens inside it, in this process or another; null without telemetry. */
  traceparent: string | null;
  end(attributes?: Attributes, fault?: string): void;
}

export interface SpanOptions {
  kind?: 'server' | 'consumer' | 'internal';
  attributes?: Attributes;
  /** The trace context that it belongs to; without one it begins a trace. */
  parent?: string | null | undefined;
}

/** Spans of requests, tasks and steps. The context is handed on as text, as it also travels through PostgreSQL. */
export interface Telemetry {
  start(name: string, options?: SpanOptions): OpenSpan;
  /** Sends what has not been sent. */
  close(): Promise<void>;
}

const NOTHING: OpenSpan = { traceparent: null, end: () => undefined };
export const NO_TELEMETRY: Telemetry = { start: () => NOTHING, close: () => Promise.resolve() };

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const INVALID = /^0*$/;

/** Null for what is no trace context, as a header of a client may be. */
export function readTraceparent(text: string | null | undefined): SpanContext | null {
  const [, traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(text ?? '') ?? [];
  if (INVALID.test(traceId) || INVALID.test(spanId)) return null;
  return { traceId, spanId, traceFlags: parseInt(flags, 16) & 1, isRemote: true };
}

/**
 * OpenTelemetry over OTLP/HTTP when OTEL_EXPORTER_OTLP_ENDPOINT is set, else nothing at all: the packages are optional
 * and loaded here only. Without them the service runs, and says so.
 */
export async function openTelemetry(
  { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }: Pick<Config, 'OTEL_EXPORTER_OTLP_ENDPOINT'>,
  logger: Log,
): Promise<Telemetry> {
  if (endpoint === undefined) return NO_TELEMETRY;
  try {
    const [api, sdk, exporters, resources] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-trace-node'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ]);
    const exporter = new exporters.OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
    const provider = new sdk.BasicTracerProvider({
      resource: resources.resourceFromAttributes({ 'service.name': 'sparank', 'service.version': VERSION }),
      spanProcessors: [new sdk.BatchSpanProcessor(exporter)],
    });
    const tracer = provider.getTracer('sparank', VERSION);
    const kinds = { server: api.SpanKind.SERVER, consumer: api.SpanKind.CONSUMER, internal: api.SpanKind.INTERNAL };
    const contextOf = (parent: string | null | undefined): Context => {
      const remote = readTraceparent(parent);
      return remote === null ? api.ROOT_CONTEXT : api.trace.setSpanContext(api.ROOT_CONTEXT, remote);
    };
    return {
      start(name, { kind = 'internal', attributes = {}, parent } = {}) {
        const span = tracer.startSpan(name, { kind: kinds[kind], attributes }, contextOf(parent));
        const { traceId, spanId, traceFlags } = span.spanContext();
        return {
          traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
          end(more = {}, fault) {
            span.setAttributes(more);
            if (fault !== undefined) span.setStatus({ code: api.SpanStatusCode.ERROR, message: fault });
            span.end();
          },
        };
      },
      close: () => provider.shutdown(),
    };
  } catch (error) {
    logger.warn({ err: error }, 'OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry cannot be loaded: no traces');
    return NO_TELEMETRY;
  }
}
