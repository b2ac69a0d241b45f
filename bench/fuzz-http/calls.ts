import type { Call, Known } from './request.js';

interface Operation {
  parameters?: { in: string; name: string }[];
  requestBody?: unknown;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
}

/** Pages that no document describes. */
const PAGES = ['/docs/', '/docs/static/index.css', '/openapi.json', '/admin/login', '/admin/queues', '/nowhere'];

function filled(path: string, { job, artifact, upload }: Omit<Known, 'calls'>): string {
  const id = path.startsWith('/uploads') ? upload : path.startsWith('/teams') ? 'self' : job;
  return path
    .replace('{id}', id)
    .replace('{name}', artifact)
    .replaceAll(/\{\w+\}/g, 'none');
}

/** What can be called. What removes something is called for what is not there: the others need it. */
export async function readCalls(url: string, known: Omit<Known, 'calls'>): Promise<Call[]> {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as Document;
  const calls = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([name, { parameters = [], requestBody }]) => {
      const method = name.toUpperCase();
      const query = parameters.filter((one) => one.in === 'query').map((one) => one.name);
      const target = method === 'DELETE' ? path.replaceAll(/\{\w+\}/g, 'none') : filled(path, known);
      return { method, target, query, hasBody: requestBody !== undefined };
    }),
  );
  const heads = calls.filter(({ method }) => method === 'GET').map((call) => ({ ...call, method: 'HEAD' }));
  const page = (target: string, method = 'GET') => ({ method, target, query: [], hasBody: method === 'POST' });
  return [
    ...calls,
    ...heads,
    ...PAGES.map((path) => page(path)),
    page('/jobs', 'OPTIONS'),
    page('/admin/login', 'POST'),
  ];
}
