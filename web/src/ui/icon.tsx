/** Strokes on a grid of 16: drawn here, so that no font and no other host is needed. */
const PATHS = {
  alert: 'M8 5v4M8 11.5v.01M8 1.8 14.6 13.4H1.4z',
  check: 'm3 8.5 3.2 3.2L13 4.6',
  cross: 'm4 4 8 8M12 4l-8 8',
  clock: 'M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4zM8 4.6V8l2.4 1.6',
  running: 'M14 8a6 6 0 1 1-6-6',
  stop: 'M4.5 4.5h7v7h-7z',
  search: 'M7 11.6A4.6 4.6 0 1 0 7 2.4a4.6 4.6 0 0 0 0 9.2zM10.4 10.4l3.4 3.4',
  plus: 'M8 3v10M3 8h10',
  down: 'M8 2.5v8M4.8 7.6 8 10.8l3.2-3.2M2.5 13.5h11',
  sun: 'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.5v1.4M8 13.1v1.4M1.5 8h1.4M13.1 8h1.4M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1',
  moon: 'M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1z',
  screen: 'M2 3.2h12v7.6H2zM6 13.6h4M8 10.8v2.8',
  user: 'M8 8.2a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4zM2.8 13.6c.7-2.3 2.7-3.4 5.2-3.4s4.5 1.1 5.2 3.4',
  menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
  chevron: 'm4 6 4 4 4-4',
  right: 'm6 4 4 4-4 4',
  info: 'M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4zM8 7.4v3.6M8 5.2v.01',
  copy: 'M5.5 5.5h7.7v7.7H5.5zM3 10.4H2.6V2.7h7.7V3',
  again: 'M13.4 8a5.4 5.4 0 1 1-1.6-3.8M13.4 1.8v3h-3',
  trash: 'M2.8 4.2h10.4M6.2 4.2V2.6h3.6v1.6M4.2 4.2l.6 9.2h6.4l.6-9.2M6.8 6.8v4M9.2 6.8v4',
  link: 'M9.4 2.8h3.8v3.8M13 3 7.6 8.4M6.8 3.6H3v9.4h9.4V9.2',
  file: 'M4 1.8h5l3 3v9.4H4zM9 1.8v3h3',
} as const;

export type IconName = keyof typeof PATHS;

export const Icon = ({ name, size = 16 }: { name: IconName; size?: number }) => (
  <svg className="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d={PATHS[name]} />
  </svg>
);
