import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../src/database/embedded/server.js';

export interface RedisServer {
  port: number;
  /** Of the running server. */
  readonly pid: number;
  kill(): Promise<void>;
  /** Starts it again, with what its append-only file kept or empty. */
  start(options: { keep: boolean }): Promise<void>;
  flush(): Promise<void>;
  stop(): Promise<void>;
}

/** A Redis as the service asks for (`noeviction`, AOF); null where there is none. */
export async function startRedis(directory: string): Promise<RedisServer | null> {
  if (spawnSync('redis-server', ['--version']).status !== 0) return null;
  await mkdir(directory);
  const port = await freePort();
  const url = `redis://127.0.0.1:${String(port)}`;
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', ''];
  args.push('--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction');
  let server: ChildProcess | null = null;
  const start = async () => {
    server = spawn('redis-server', args, { stdio: 'ignore' });
    const probe = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
    probe.on('error', () => undefined);
    await probe.ping();
    probe.disconnect();
  };
  const kill = async () => {
    const running = server;
    server = null;
    if (running === null) return;
    const ended = new Promise<void>((done) => running.once('close', () => done()));
    running.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    port,
    get pid() {
      return server?.pid ?? 0;
    },
    kill,
    async start({ keep }) {
      if (!keep) await rm(join(directory, 'appendonlydir'), { recursive: true, force: true });
      await start();
    },
    async flush() {
      const client = new Redis(url);
      await client.flushall();
      client.disconnect();
    },
    stop: kill,
  };
}
