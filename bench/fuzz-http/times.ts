import type { Dice } from './dice.js';
import { HOSTILE } from './dice.js';
import { authorization, requestBytes, type FuzzedRequest, type Known } from './request.js';

const YEARS = [
  '0000',
  '0001',
  '1582',
  '1969',
  '1970',
  '2026',
  '9999',
  '10000',
  '+010000',
  '-000001',
  '-0001',
  '26',
  '275760',
  '294277',
  '４',
] as const;
const MONTHS = ['00', '01', '02', '12', '13', '1', '99'] as const;
const DAYS = ['00', '01', '29', '30', '31', '32', '9'] as const;
const HOURS = ['00', '12', '23', '24', '25', '99', '7'] as const;
const MINUTES = ['00', '59', '60', '99', '5'] as const;
const SECONDS = [
  ':00',
  ':59',
  ':60',
  ':61',
  '',
  ':5',
  ':00.',
  ':00.1',
  ':59.9999999999',
  ':59.999999999999999999999999',
  ':00,5',
] as const;
const ZONES = [
  'Z',
  'z',
  '',
  '+00:00',
  '-00:00',
  '+14:00',
  '-12:00',
  '+23:59',
  '-23:59',
  '+24:00',
  '+99:99',
  '+0100',
  '+1',
  ' UTC',
  '[UTC]',
  'ZZ',
] as const;

/** Mostly a time, or nearly one. */
function fuzzedTime(dice: Dice): string {
  if (dice.oneIn(12))
    return dice.one([
      ...HOSTILE,
      'now',
      'infinity',
      '-infinity',
      'epoch',
      'today',
      '1700000000',
      '2026-W01-1',
      '20260131T120000Z',
      'Sat, 31 Jan 2026 12:00:00 GMT',
    ]);
  const separator = dice.oneIn(8) ? dice.one(['t', ' ', '', '_', 'T ']) : 'T';
  // Now and then all but one place is right.
  const pick = (list: readonly string[], right: string) => (dice.oneIn(2) ? right : dice.one(list));
  const day = `${dice.one(YEARS)}-${pick(MONTHS, '01')}-${pick(DAYS, '01')}`;
  if (dice.oneIn(6)) return day;
  return `${day}${separator}${pick(HOURS, '00')}:${pick(MINUTES, '00')}${pick(SECONDS, ':00')}${pick(ZONES, 'Z')}`;
}

export function fuzzedTimes(dice: Dice, known: Known): FuzzedRequest {
  const time = fuzzedTime(dice);
  const encoded = encodeURIComponent(time.toWellFormed());
  const get = (target: string) => ({ method: 'GET', target, headers: [authorization(known)] });
  const how = JSON.stringify(time.slice(0, 50));
  const ask = (target: string): FuzzedRequest => ({
    kind: 'time',
    how: `${target.replace(/\?.*/, '')} with ${how}`,
    bytes: requestBytes(get(target)),
    leaves: false,
  });
  switch (dice.below(4)) {
    case 0: {
      const other = dice.oneIn(2)
        ? encodeURIComponent(fuzzedTime(dice).slice(0, 10).toWellFormed())
        : encoded.slice(0, 10);
      return ask(`/usage?from=${dice.oneIn(2) ? encoded : encoded.slice(0, 10)}&to=${other}`);
    }
    case 1: {
      const body = Buffer.from(JSON.stringify({ name: 'fuzz', scopes: ['jobs:read'], expires_at: time }));
      const headers = [
        authorization(known),
        ['Content-Type', 'application/json'] as const,
        ['Content-Length', String(body.length)] as const,
      ];
      const bytes = requestBytes({ method: 'POST', target: '/teams/self/keys', headers }, body);
      return { kind: 'time', how: `expires_at ${how}`, bytes, leaves: false };
    }
    default:
      return ask(`/jobs?limit=1&created_after=${encoded}`);
  }
}
