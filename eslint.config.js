import importX from 'eslint-plugin-import-x';
import parser from '@typescript-eslint/parser';

/** The rooms of src/, and what each may import besides itself. Imports go downwards; see docs/architecture.md. */
const ROOMS = {
  cli: [
    'client',
    'service',
    'maintenance',
    'api',
    'worker',
    'pipeline',
    'engines',
    'storage',
    'jobs',
    'models/coding',
    'models/formats',
    'models/sparse',
    'observability',
    'config',
    'errors',
  ],
  client: [],
  service: [
    ...['api', 'worker', 'maintenance', 'pipeline', 'database', 'queue', 'storage'],
    ...['jobs', 'observability', 'config', 'errors'],
  ],
  api: [
    ...['database', 'queue', 'storage', 'outbound', 'jobs', 'fault-injection'],
    ...['observability', 'config', 'errors'],
  ],
  worker: [
    ...['pipeline', 'engines', 'database', 'queue', 'storage', 'scheduling', 'jobs', 'fault-injection'],
    ...['observability', 'config', 'errors'],
  ],
  maintenance: [
    ...['database', 'queue', 'storage', 'outbound', 'jobs', 'fault-injection'],
    ...['observability', 'config', 'errors'],
  ],
  pipeline: ['compression', 'engines', 'models', 'datasets', 'jobs', 'observability', 'config', 'errors'],
  database: ['scheduling', 'jobs', 'observability', 'config', 'errors'],
  queue: ['database', 'scheduling', 'observability', 'config', 'errors'],
  scheduling: ['jobs', 'engines', 'errors'],
  outbound: ['storage', 'errors'],
  storage: ['config', 'errors'],
  compression: [
    'engines',
    ...['models/activation.ts', 'models/layer.ts', 'models/cost.ts', 'models/low-rank', 'models/sparse'],
    'errors',
  ],
  models: ['datasets', 'runtime', 'errors'],
  engines: ['runtime', 'errors'],
  jobs: ['engines', 'models/formats', 'models/coding', 'models/low-rank', 'models/sparse', 'errors'],
  datasets: ['errors'],
  runtime: ['errors'],
  observability: ['config', 'errors'],
  'fault-injection': [],
  config: ['engines', 'errors'],
  errors: [],
};

/** Rooms inside rooms, the uppermost first: each may import those after it. */
const INSIDE = {
  compression: [
    'solver',
    'allocation',
    'curves',
    'sparse',
    'low-rank',
    'regression',
    'linalg',
    'simd',
    'activations',
    'prox',
  ],
  models: [
    ...['tfjs', 'onnx', 'quantize', 'emit', 'gradients', 'layers', 'passes', 'run', 'graph', 'ir'],
    ...['formats', 'coding', 'sparse', 'low-rank'],
  ],
  pipeline: ['steps', 'integers', 'latency', 'curves', 'network', 'cost', 'files'],
  'pipeline/steps': ['inspect', 'plan', 'layer', 'assemble', 'evaluate'],
};

const zone = (target, below, message) => ({ target, from: './src', except: below, message });
const zones = [
  ...Object.entries(ROOMS).map(([room, below]) =>
    zone(`./src/${room}`, [`./${room}`, ...below.map((name) => `./${name}`)], `src/${room} does not import this room`),
  ),
  ...Object.entries(INSIDE).flatMap(([room, inner]) =>
    inner.map((name, index) => ({
      target: `./src/${room}/${name}`,
      from: inner.slice(0, index).map((above) => `./src/${room}/${above}`),
      message: `imports in src/${room} go downwards: ${inner.join(', ')}`,
    })),
  ),
].filter(({ from }) => from.length > 0);

/** What the types and the code of a file itself say is checked by oxlint (.oxlintrc.json): here is what it cannot. */
export default [
  { ignores: ['src/database/generated/**', 'src/client/openapi.ts'] },
  {
    files: ['src/**/*.ts'],
    languageOptions: { parser },
    plugins: { 'import-x': importX },
    settings: {
      'import-x/resolver-next': [
        importX.createNodeResolver({ extensions: ['.ts', '.js'], extensionAlias: { '.js': ['.ts', '.js'] } }),
      ],
    },
    rules: { 'import-x/no-restricted-paths': ['error', { zones }] },
  },
  {
    files: ['src/**/*.ts'],
    // The client is a package of its own, whose users see no types of ours: it keeps `#`.
    ignores: ['src/models/ir/operator.ts', 'src/client/**'],
    rules: {
      'no-restricted-syntax': [
        'error',
        { selector: 'PrivateIdentifier', message: 'One way to hide a member: `private`.' },
        ...["MemberExpression[property.name='opType']", "ObjectPattern > Property[key.name='opType']"].map(
          (selector) => ({
            selector,
            message:
              'Operators of different domains share names: ask isOperator or operatorOf (models/ir/operator.ts).',
          }),
        ),
      ],
    },
  },
];
