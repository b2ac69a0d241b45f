import type { ReactNode } from 'react';

interface Props {
  label: string;
  card?: boolean;
  children: ReactNode;
}

/**
 * A wide table scrolls by itself, also by keyboard: so it can be focused, and has a name, which is not that of the
 * section around it.
 */
export const TableScroll = ({ label, card = false, children }: Props) => (
  <div
    className={card ? 'card table-scroll' : 'table-scroll'}
    tabIndex={0}
    role="region"
    aria-label={`Table: ${label}`}
  >
    {children}
  </div>
);
