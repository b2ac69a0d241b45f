import { NONE } from './numbers.js';

/** 75 -> 1 min 15 s */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 0.95) return seconds < 0.01 ? '0 s' : `${seconds.toFixed(seconds < 0.1 ? 2 : 1)} s`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const all = Math.round(seconds);
  const [days, hours, minutes, rest] = [
    Math.floor(all / 86_400),
    Math.floor((all % 86_400) / 3600),
    Math.floor((all % 3600) / 60),
    all % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return rest === 0 || minutes >= 10 ? `${minutes} min` : `${minutes} min ${rest} s`;
  return `${rest} s`;
}

const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const whole = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export const clock = (at: string | number): string => time.format(new Date(at));
export const moment = (at: string | null | undefined): string =>
  at === null || at === undefined ? NONE : whole.format(new Date(at));
export const date = (at: string): string => day.format(new Date(at));

/** 12 min ago; `now` is given so that a list is told by one clock. */
export function ago(at: string | null | undefined, now: number): string {
  if (at === null || at === undefined) return NONE;
  const seconds = Math.max(0, (now - Date.parse(at)) / 1000);
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return seconds < 7 * 86_400 ? `${Math.floor(seconds / 86_400)} d ago` : date(at);
}
