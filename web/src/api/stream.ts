import { useEffect, useRef } from 'react';

/** A refused stream (too many are open, the service restarts) is asked for again. */
const AGAIN_MS = 5_000;

type Handlers = Record<string, (data: string) => void>;

interface Options {
  /** The stream tells from here on: what came before it has to be read. */
  onOpen: () => void;
  /** It cannot be had now, and is tried again: by the browser, or when it was refused, by and by. */
  onFailure?: (refused: boolean) => void;
}

/**
 * Follows a stream of events while the page is in sight: a browser gives a host six connections for all of its tabs.
 * The browser reconnects by itself, with `Last-Event-ID`; only a refusal ends that.
 */
export function useStream(path: string | null, handlers: Handlers, { onOpen, onFailure }: Options): void {
  const latest = useRef({ handlers, onOpen, onFailure });
  latest.current = { handlers, onOpen, onFailure };
  const names = Object.keys(handlers).join();
  useEffect(() => {
    if (path === null) return undefined;
    let source: EventSource | undefined;
    let timer: number | undefined;
    const close = () => {
      window.clearTimeout(timer);
      source?.close();
      source = undefined;
    };
    const open = () => {
      close();
      const opened = new EventSource(path);
      source = opened;
      opened.addEventListener('open', () => latest.current.onOpen());
      opened.addEventListener('error', () => {
        const refused = opened.readyState === EventSource.CLOSED;
        latest.current.onFailure?.(refused);
        if (refused) timer = window.setTimeout(open, AGAIN_MS);
      });
      for (const name of names.split(','))
        opened.addEventListener(name, (event) => latest.current.handlers[name]?.((event as MessageEvent<string>).data));
    };
    const look = () => (document.hidden ? close() : open());
    look();
    document.addEventListener('visibilitychange', look);
    return () => {
      document.removeEventListener('visibilitychange', look);
      close();
    };
  }, [path, names]);
}
