import DataLoader from 'dataloader';

/** Of one read: more are spread over several. */
const MOST = 500;

/**
 * One read for all that is asked at the same moment. What is asked while a read is under way goes with the next:
 * everybody gets what was there after they asked, and however many ask, the database answers few.
 *
 * @param read the values of keys, in their order
 */
export function together<Key, Value>(read: (keys: readonly Key[]) => Promise<Value[]>): (key: Key) => Promise<Value> {
  let underWay = false;
  let waiting: (() => void)[] = [];
  const next = () => {
    const due = waiting;
    waiting = [];
    underWay = due.length > 0;
    for (const dispatch of due) dispatch();
  };
  const loader = new DataLoader<Key, Value>((keys) => read(keys).finally(() => setImmediate(next)), {
    cache: false,
    maxBatchSize: MOST,
    batchScheduleFn(dispatch) {
      waiting.push(dispatch);
      if (underWay) return;
      underWay = true;
      // Requests that arrive together are read from their sockets in one turn.
      setImmediate(next);
    },
  });
  return (key) => loader.load(key);
}
