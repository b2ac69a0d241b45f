export interface Page<T> {
  data: T[];
  hasMore: boolean;
}

export interface DigestedPage<T> extends Page<T> {
  /** Another one when any job on the page changed, or others are on it. */
  digest: string;
}
