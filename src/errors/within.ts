const noAnswer = (ms: number): Error => new Error(`no answer within ${ms} ms`);

/** The result of `work`, or the error of `late` after `ms`; what comes of it later is nobody's concern. */
export async function within<T>(work: Promise<T>, ms: number, late: (ms: number) => Error = noAnswer): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late(ms)), ms);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}
