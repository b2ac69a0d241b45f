import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import https from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import type { Config } from '../../config.js';
import { InputError } from '../../errors.js';

/** Nothing comes for this long: the source is given up. */
const SILENT_MS = 30_000;
const MAX_REDIRECTS = 5;

/** Addresses that only this machine or its network can reach, metadata services among them. */
const closed = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  closed.addSubnet(net, bits, 'ipv4');
}

/** Of IPv6 only the global unicast block is open, without the parts of it that lead to IPv4 or to documentation. */
const open6 = new BlockList();
open6.addSubnet('2000::', 3, 'ipv6');
const closed6 = new BlockList();
closed6.addSubnet('2001::', 23, 'ipv6');
closed6.addSubnet('2001:db8::', 32, 'ipv6');
closed6.addSubnet('2002::', 16, 'ipv6');
closed6.addSubnet('3fff::', 20, 'ipv6');

export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !closed.check(address, 'ipv4');
  return isIP(address) === 6 && open6.check(address, 'ipv6') && !closed6.check(address, 'ipv6');
}

const refused = (host: string) => new InputError('invalid_spec', `the host ${host} has no public address`);

/** Checks the very addresses that are dialled: a name that changes between a check and the connection gains nothing. */
const publicOnly: LookupFunction = (hostname, options, done) => {
  systemLookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error !== null) return done(error, '');
    const first = addresses[0];
    if (first === undefined || !addresses.every(({ address }) => isPublicAddress(address)))
      return done(refused(hostname), '');
    if (options.all === true) return done(null, addresses);
    return done(null, first.address, first.family);
  });
};

function get(
  url: URL,
  allowed: ReadonlySet<string>,
): Promise<{ status: number; location: string | undefined; body: Readable }> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol !== 'https:') throw new InputError('invalid_spec', 'only https URLs are fetched');
  if (url.username !== '' || url.password !== '') throw new InputError('invalid_spec', 'a URL may not hold a password');
  const isOpen = allowed.has(host.toLowerCase());
  // An address in the URL itself is dialled without a lookup.
  if (!isOpen && isIP(host) !== 0 && !isPublicAddress(host)) throw refused(host);
  return new Promise((resolve, reject) => {
    const request = https.get(url, {
      agent: false,
      timeout: SILENT_MS,
      headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'sparank' },
      ...(isOpen ? {} : { lookup: publicOnly }),
    });
    request.on('timeout', () => request.destroy(new InputError('invalid_spec', 'the host is silent')));
    request.on('error', reject);
    request.on('response', (body) => resolve({ status: body.statusCode ?? 0, location: body.headers.location, body }));
  });
}

/** Opens an https URL for reading; every redirect is checked like the first address. */
export async function openUrl(url: URL, config: Pick<Config, 'URL_ALLOWED_HOSTS'>): Promise<Readable> {
  const allowed = new Set(
    config.URL_ALLOWED_HOSTS.toLowerCase()
      .split(',')
      .map((host) => host.trim()),
  );
  for (let at = url, redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const { status, location, body } = await get(at, allowed);
    if (status === 200) return body;
    body.destroy();
    if (status < 300 || status > 399 || location === undefined) {
      throw new InputError('invalid_spec', `the host ${at.hostname} answered ${status}`);
    }
    at = new URL(location, at);
  }
  throw new InputError('invalid_spec', `more than ${MAX_REDIRECTS} redirects`);
}
