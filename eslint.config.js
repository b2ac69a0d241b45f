import importX from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

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
    ...['onnx', 'quantize', 'emit', 'gradients', 'layers', 'passes', 'run', 'graph', 'ir'],
    ...['formats', 'coding', 'sparse', 'low-rank'],
  ],
  pipeline: ['steps', 'latency', 'curves', 'network', 'cost', 'files'],
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

export default tseslint.config(
  {
    ignores: [
      'dist/**',
      'clients/*/dist/**',
      'node_modules/**',
      'src/database/generated/**',
      'src/client/openapi.ts',
      'coverage/**',
    ],
  },
  ...tseslint.configs.strict,
  {
    plugins: { 'import-x': importX },
    settings: {
      'import-x/resolver-next': [
        importX.createNodeResolver({
          extensions: ['.ts', '.tsx', '.js'],
          extensionAlias: { '.js': ['.ts', '.tsx', '.js'] },
        }),
      ],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts', '.tsx'] },
    },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['src/**'],
    ignores: ['src/models/ir/operator.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
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
  {
    files: ['src/**/*.ts', 'web/**/*.{ts,tsx}'],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Indices are not checked by the types here: a guard behind one is no needless condition.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // Plugins of fastify and methods of an interface are async whether or not they wait.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['web/**'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '/src/(?!app|api|ui|format|pages|styles)',
              allowTypeImports: true,
              message: 'The dashboard knows the service by its interface.',
            },
          ],
        },
      ],
      'import-x/no-cycle': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'import-x/no-restricted-paths': ['error', { zones }],
      'import-x/no-cycle': 'error',
      '@typescript-eslint/max-params': ['error', { max: 4 }],
    },
  },
);
