import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { connect } from '../../src/cli/connection.js';

/** What goes wrong between the command line and a service, in words that say where to look. */
describe('a service', () => {
  const listening = async (status: number, type: string, body: string) => {
    const server = createServer((_request, response) => response.writeHead(status, { 'content-type': type }).end(body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    const close = () => new Promise((resolve) => server.close(resolve));
    return { url, close };
  };

  test('that is not there is named, with the reason', async () => {
    const { url, close } = await listening(200, 'text/plain', '');
    await close();
    await expect((await connect({ url, apiKey: 'key' })).jobs.page()).rejects.toMatchObject({
      code: 'unavailable',
      message: `the service at ${url} cannot be reached (ECONNREFUSED)`,
    });
  });

  test('that is another program is called that', async () => {
    const { url, close } = await listening(200, 'text/html', '<html>login</html>');
    await expect((await connect({ url, apiKey: 'key' })).jobs.page()).rejects.toMatchObject({
      code: 'unavailable',
      message: `the service at ${url} does not answer as Sparank does (it sent text/html): is that its URL?`,
    });
    await close();
  });

  test('that is refused by a proxy in between has its status', async () => {
    const { url, close } = await listening(502, 'text/html', '<html>bad gateway</html>');
    await expect((await connect({ url, apiKey: 'key' })).jobs.page()).rejects.toThrow('the service answered 502');
    await close();
  });

  test.each(['nonsense', 'ftp://host', 'localhost:8080', ''])('at %j has no URL', async (url) => {
    await expect(connect({ url, apiKey: 'key' })).rejects.toThrow(/must begin with http/);
  });
});
