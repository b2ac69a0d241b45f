import { expect, test } from 'vitest';
import { createLogger } from '../src/observability/logger.js';

function capture(level: 'info' | 'warn') {
  const lines: string[] = [];
  const logger = createLogger({ LOG_LEVEL: level }, { process: 'api' }, { write: (line) => void lines.push(line) });
  return { logger, lines, read: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test('a line carries level, time, process and the ids of its request and job', () => {
  const { logger, read } = capture('info');
  logger.child({ request_id: 'req_1' }).info({ job_id: 'job_1' }, 'accepted');
  const [line] = read();
  expect(line).toMatchObject({ level: 'info', process: 'api', request_id: 'req_1', job_id: 'job_1', msg: 'accepted' });
  expect(line?.time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
});

test('keys, cookies and passwords never reach the log', () => {
  const { logger, lines } = capture('info');
  const secret = 'top-secret-value';
  logger.info({ authorization: secret, headers: { authorization: secret, cookie: secret } }, 'a');
  logger.info({ req: { headers: { authorization: `Bearer ${secret}` } } }, 'b');
  logger.error({ err: new Error(`cannot reach postgres://me:${secret}@db:5432/x`) }, 'c');
  expect(lines).toHaveLength(3);
  expect(lines.join('')).not.toContain(secret);
  expect(lines.join('')).toContain('postgres://me:[redacted]@db:5432/x');
});

test('the level of the settings is kept to', () => {
  const { logger, lines } = capture('warn');
  logger.info('no');
  logger.warn('yes');
  expect(lines).toHaveLength(1);
});

test('an error of a connection is named by what happened at each address, and tells nothing of the password', () => {
  const { logger, lines, read } = capture('info');
  const refused = (address: string) =>
    Object.assign(new Error(`connect ECONNREFUSED ${address}:6379`), { code: 'ECONNREFUSED' });
  const both = new AggregateError([refused('::1'), refused('127.0.0.1')]);
  logger.warn({ err: both }, 'a');
  logger.warn({ err: new Error('the queue does not answer', { cause: both }) }, 'b');
  logger.warn({ err: Object.assign(new Error(''), { code: 'ETIMEDOUT' }) }, 'c');
  const command = { name: 'hello', args: ['3', 'AUTH', 'default', 'top-secret-value'] };
  logger.warn({ err: Object.assign(new Error('WRONGPASS invalid'), { command }) }, 'd');
  const nested = new AggregateError([new Error('no way to redis://me:top-secret-value@cache')]);
  logger.warn({ err: nested }, 'e');
  const refusals = 'connect ECONNREFUSED ::1:6379; connect ECONNREFUSED 127.0.0.1:6379';
  expect(read().map(({ err }) => (err as { message: string }).message)).toEqual([
    refusals,
    `the queue does not answer: ${refusals}`,
    'ETIMEDOUT',
    'WRONGPASS invalid',
    'no way to redis://me:[redacted]@cache',
  ]);
  expect(lines.join('')).not.toContain('top-secret-value');
});
