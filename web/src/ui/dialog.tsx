import * as Radix from '@radix-ui/react-dialog';
import type { ReactNode } from 'react';

export interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  children?: ReactNode;
}

export const Dialog = ({ open, onClose, title, description, children }: DialogProps) => (
  <Radix.Root open={open} onOpenChange={(next) => (next ? undefined : onClose())}>
    <Radix.Portal>
      <Radix.Overlay className="overlay" />
      <Radix.Content className="dialog" {...(description === undefined ? { 'aria-describedby': undefined } : {})}>
        <Radix.Title asChild>
          <h2>{title}</h2>
        </Radix.Title>
        {description === undefined ? null : (
          <Radix.Description asChild>
            <p className="muted">{description}</p>
          </Radix.Description>
        )}
        {children}
      </Radix.Content>
    </Radix.Portal>
  </Radix.Root>
);

/** What is stored nowhere and has to be copied now. */
export const ShownOnce = ({ secret, ...dialog }: Omit<DialogProps, 'open' | 'children'> & { secret: string }) => (
  <Dialog open {...dialog}>
    <output className="secret mono">{secret}</output>
    <div className="actions">
      <button type="button" className="button primary" onClick={dialog.onClose}>
        Done
      </button>
    </div>
  </Dialog>
);

export interface ConfirmProps extends DialogProps {
  action: string;
  pending: boolean;
  onConfirm: () => void;
}

/** Before what cannot be undone. */
export const Confirm = ({ action, pending, onConfirm, children, ...dialog }: ConfirmProps) => (
  <Dialog {...dialog}>
    {children}
    <div className="actions">
      <button type="button" className="button" onClick={dialog.onClose}>
        Keep
      </button>
      <button type="button" className="button danger" disabled={pending} onClick={onConfirm}>
        {action}
      </button>
    </div>
  </Dialog>
);
