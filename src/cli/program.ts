import { Command } from 'commander';
import { VERSION } from '../config/version.js';
import type { JobOptions } from './commands/jobs.js';
import { addPoolOptions, addSpecOptions } from './spec-options.js';

// Loaded when they are run: a runtime, a database and a server take seconds that `sparank jobs` need not wait for.
const commands = {
  compress: () => import('./commands/compress.js'),
  demo: () => import('./commands/demo.js'),
  doctor: () => import('./commands/doctor.js'),
  jobs: () => import('./commands/jobs.js'),
  operators: () => import('./commands/operators.js'),
  start: () => import('./commands/start.js'),
  storage: () => import('./commands/storage.js'),
  teams: () => import('./commands/teams.js'),
};

/** The action of a command: loads its module and runs this function of it. */
const run =
  <Name extends string, Module extends Record<Name, (...given: never[]) => Promise<void>>>(
    load: () => Promise<Module>,
    name: Name,
  ) =>
  async (...given: Parameters<Module[Name]>): Promise<void> => {
    const action: (...given: Parameters<Module[Name]>) => Promise<void> = (await load())[name];
    await action(...given);
  };

const json = (command: Command) => command.option('--json', 'print JSON, for programs', false);

const remote = (command: Command) =>
  json(command)
    .option('--url <url>', 'the service (default: SPARANK_URL, or the local one)')
    .option('--api-key <key>', 'the API key (default: SPARANK_API_KEY, or the key in DATA_DIR)');

const files = (command: Command) =>
  command
    .requiredOption(
      '--calibration <file.npz>',
      'inputs to fit on: x (.npz or .npy), or an array for each input, by its name',
    )
    .option('--evaluation <file.npz>', 'inputs to measure with: x, and classes where there are some: y');

const collect = (text: string, before: string[]) => [...before, text];

const limits = (command: Command) =>
  command
    .option('--weight <n>', 'share of the pool relative to other teams')
    .option('--running-tasks <n>', 'tasks that run at once; default: the setting of the service')
    .option('--queued-jobs <n>', 'jobs queued or running; default: the setting of the service')
    .option('--storage-bytes <n>', 'uploads and artifacts; default: the setting of the service')
    .option('--requests-per-minute <n>', 'calls of each key; default: the setting of the service');

function addTeamCommands(program: Command): Command {
  const teams = program.command('teams').description('teams that share the service (needs a key with the scope admin)');
  remote(teams.command('list').description('list teams'))
    .option('--limit <n>', 'how many', '100')
    .action(run(commands.teams, 'listTeams'));
  remote(limits(teams.command('create <name>').description('make a team; prints its id'))).action(
    run(commands.teams, 'createTeam'),
  );
  remote(limits(teams.command('set <team>').description('change a team')))
    .option('--name <name>', 'another name')
    .action(run(commands.teams, 'setTeam'));

  const keys = program.command('keys').description('API keys of a team (scope team:admin, or admin for other teams)');
  const ofTeam = (command: Command) =>
    remote(command).option('--team <id>', 'the team (default: that of the key)', 'self');
  ofTeam(keys.command('list').description('list keys'))
    .option('--limit <n>', 'how many', '100')
    .action(run(commands.teams, 'listKeys'));
  ofTeam(keys.command('create <name>').description('make a key; prints it, this once'))
    .option(
      '--scope <scope>',
      'jobs:read, jobs:write, team:admin or admin (repeatable; default: the first two)',
      collect,
      [],
    )
    .option('--expires <time>', 'RFC 3339, as 2027-01-31T00:00:00Z')
    .action(run(commands.teams, 'createKey'));
  ofTeam(keys.command('revoke <key>').description('revoke a key by its id')).action(run(commands.teams, 'revokeKey'));

  remote(program.command('usage').description('device seconds, jobs and bytes, as CSV or JSON'))
    .option('--from <day>', 'first day, as 2026-01-31 (UTC; default: 30 days)')
    .option('--to <day>', 'last day (default: today)')
    .option('--by <groups>', 'one or more of day, team, job, label', 'day')
    .option('--label <name>', 'the label of --by label')
    .option('--team <id>', 'another team, or all (needs the scope admin)')
    .action(run(commands.teams, 'showUsage'));
  return teams;
}

function addOperatorCommands(program: Command, teams: Command): void {
  const paged = (command: Command) =>
    remote(command).option('--limit <n>', 'how many', '100').option('--after <id>', 'the page after this one');
  remote(teams.command('remove <team>').description('remove a team with its keys, jobs and files; its usage stays'))
    .option('--cancel-jobs', 'also when it has jobs that have not ended', false)
    .action(run(commands.operators, 'removeTeam'));

  const admin = program.command('admin').description('what concerns all teams (needs a key with the scope admin)');
  paged(admin.command('jobs').description('jobs of all teams, newest first'))
    .option('--team <id>', 'only jobs of this team')
    .option('--status <status>', 'only jobs in this state')
    .action(run(commands.operators, 'listAllJobs'));
  remote(admin.command('job <job>').description('a job of any team, as JSON')).action(
    run(commands.operators, 'showAnyJob'),
  );
  remote(admin.command('cancel <job>').description('cancel a job of any team')).action(
    run(commands.operators, 'cancelAnyJob'),
  );
  paged(admin.command('audit').description('who changed keys, teams and what belongs to others'))
    .option('--team <id>', 'what was done to this team')
    .option('--action <action>', 'as key.created (one or more, with commas)')
    .option('--subject <id>', 'what was done to this key, team, job or worker')
    .action(run(commands.operators, 'showAudit'));

  const workers = program.command('workers').description('the workers of the pool');
  remote(workers.command('list').description('what they do; drained ones are idle at last')).action(
    run(commands.operators, 'listWorkers'),
  );
  remote(workers.command('drain <worker>').description('let a worker end its task and take no more (scope admin)'))
    .option('--undo', 'let it take tasks again', false)
    .action(run(commands.operators, 'drainWorker'));
}

function addStorageCommands(program: Command): void {
  const storage = program.command('storage').description('the storage of the settings, beside their database');
  json(
    storage
      .command('adopt')
      .description('make the storage belong to this database, whatever it belonged to: stop the others first'),
  ).action(run(commands.storage, 'adopt'));
  json(
    storage.command('check').description('what is missing, and what the database does not know; changes nothing'),
  ).action(run(commands.storage, 'check'));
  json(
    storage
      .command('sweep')
      .description('what the sweep of unneeded files would delete')
      .option('--delete', 'delete it, also where the service has stopped because it was too much', false),
  ).action(run(commands.storage, 'sweepStorage'));
}

export function buildProgram(): Command {
  const program = new Command('sparank')
    .description('Compresses trained convolutional networks: sparse + low-rank layers, with measured numbers.')
    .version(VERSION)
    .showHelpAfterError('(see --help)')
    .exitOverride()
    .addHelpText('after', '\nExit codes: 0 done, 1 error, 2 wrong usage, 3 the result does not meet the constraints.');

  json(program.command('start').description('the API with embedded workers')).action(run(commands.start, 'start'));
  program
    .command('worker')
    .description('workers only, for the database, queue and storage of the settings')
    .option('--workers <n>', 'workers in this process', '1')
    .action(async (options: { workers: string }) =>
      (await commands.start()).work({ workers: Number(options.workers) }),
    );
  json(
    addSpecOptions(files(program.command('compress <model>').description('compress a model here, without a service'))),
  )
    .option('--output <directory>', 'where the artifacts go', './compressed')
    .action(run(commands.compress, 'compress'));
  remote(
    addPoolOptions(addSpecOptions(files(program.command('submit <model>').description('submit a job to a service')))),
  )
    .option('--priority <priority>', 'low, normal or high')
    .option('--webhook <url>', 'told when the job has ended')
    .option('--idempotency-key <key>', 'the same key makes the same job only once')
    .option('--wait', 'watch the job to its end', false)
    .option('--output <directory>', 'watch it, and put its artifacts there')
    .action(run(commands.jobs, 'submit'));
  remote(program.command('watch <job>').description('follow a job to its end')).action(run(commands.jobs, 'watch'));
  remote(program.command('jobs').description('list jobs, newest first'))
    .option('--status <status>', 'only jobs in this state')
    .option('--label <name=value>', 'only jobs with this label (repeatable)', collect, [])
    .option('--limit <n>', 'how many', '20')
    .action(run(commands.jobs, 'listJobs'));
  remote(program.command('get <job>').description('download the artifacts of a job'))
    .option('--output <directory>', 'where they go', '.')
    .action(run(commands.jobs, 'get'));
  remote(program.command('cancel <job>').description('cancel a job')).action(async (id: string, options: JobOptions) =>
    (await commands.jobs()).act(id, 'cancel', options),
  );
  remote(program.command('retry <job>').description('run a failed or canceled job again')).action(
    async (id: string, options: JobOptions) => (await commands.jobs()).act(id, 'retry', options),
  );
  addOperatorCommands(program, addTeamCommands(program));
  addStorageCommands(program);
  json(program.command('doctor').description('what engine, database, queue and storage are found')).action(
    run(commands.doctor, 'doctor'),
  );
  json(program.command('demo').description('compress a small example over HTTP, on a service of its own'))
    .option('--stay', 'leave its dashboard open until Ctrl-C')
    .action(run(commands.demo, 'demo'));
  return program;
}
