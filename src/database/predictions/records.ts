/** Jobs that started in the last hour, by how far off was what they were told. */
export interface StartErrors {
  /** At most this part of the wait, and more than the one before. */
  error: '0.10' | '0.25' | '0.50' | '1.00' | 'more';
  /** Than told. */
  direction: 'earlier' | 'later';
  count: number;
}
