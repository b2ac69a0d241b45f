import { useState } from 'react';
import type { Upload } from '../../api/types.js';
import { ApiError } from '../../api/call.js';
import { bytes, percent } from '../../format/numbers.js';
import { Failure } from '../../ui/failure.js';
import { Icon } from '../../ui/icon.js';

export const PARTS = ['model', 'calibration', 'evaluation'] as const;
export type Part = (typeof PARTS)[number];

export interface Chosen {
  name: string;
  bytes: number;
  /** 0..1 while it is sent. */
  sent: number;
  upload: string | null;
  error: Error | null;
}

const WHAT: Record<Part, { title: string; help: string }> = {
  model: { title: 'Model', help: '.onnx, or a zip of one with its external data' },
  calibration: {
    title: 'Calibration samples',
    help: '.npz or .npy with the array x; a few hundred samples, no labels needed',
  },
  evaluation: {
    title: 'Evaluation data, if there is any',
    help: '.npz with x, and y for the accuracy; else a part of the calibration is held out',
  },
};

/** XMLHttpRequest, because fetch does not tell how much was sent. */
export function send(file: File, onSent: (part: number) => void): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `/uploads?filename=${encodeURIComponent(file.name.slice(-200))}`);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.upload.onprogress = ({ loaded, total }) => onSent(total === 0 ? 1 : loaded / total);
    request.onerror = () =>
      reject(new ApiError({ detail: 'The file could not be sent: the service cannot be reached.' }));
    request.onload = () => {
      const body = JSON.parse(request.responseText === '' ? '{}' : request.responseText) as Upload & {
        detail?: string;
      };
      if (request.status === 201) resolve(body);
      else reject(new ApiError({ ...body, detail: body.detail ?? `The service answered ${request.status}.` }));
    };
    request.send(file);
  });
}

/** The part that a file is, by its name; what is not known goes where there is room. */
export function partOf(name: string, free: Part[]): Part | undefined {
  const guess: Part = /\.(onnx|zip|pb)$/i.test(name)
    ? 'model'
    : /eval|test|val/i.test(name)
      ? 'evaluation'
      : 'calibration';
  return free.includes(guess) ? guess : free[0];
}

function Slot({
  part,
  chosen,
  fault,
  onFile,
  onClear,
}: {
  part: Part;
  chosen: Chosen | undefined;
  fault: string | undefined;
  onFile: (file: File) => void;
  onClear: () => void;
}) {
  const { title, help } = WHAT[part];
  return (
    <div className={`slot ${chosen === undefined ? '' : 'slot-full'}`}>
      <div className="slot-text">
        <span className="field-name">{title}</span>
        {chosen === undefined ? (
          <span className="field-help">{help}</span>
        ) : (
          <span className="field-help">
            <span className="mono">{chosen.name}</span> {bytes(chosen.bytes)}
            {chosen.upload === null && chosen.error === null ? `, sending ${percent(chosen.sent, 0)}` : ''}
          </span>
        )}
        {fault === undefined ? null : <span className="field-fault">{fault}</span>}
        {chosen?.error ? <Failure error={chosen.error} /> : null}
      </div>
      {chosen === undefined ? (
        <label className="button small">
          Choose
          <input
            className="visually-hidden"
            type="file"
            name={part}
            aria-label={title}
            onChange={(event) => {
              const file = event.target.files?.[0];
              if (file !== undefined) onFile(file);
            }}
          />
        </label>
      ) : (
        <button type="button" className="button plain square small" aria-label={`Remove ${title}`} onClick={onClear}>
          <Icon name="cross" />
        </button>
      )}
    </div>
  );
}

export interface FilesProps {
  chosen: Partial<Record<Part, Chosen>>;
  faults: Partial<Record<Part, string>>;
  onFile: (part: Part, file: File) => void;
  onClear: (part: Part) => void;
}

/** Files are dropped anywhere on it, or chosen one by one. */
export function Files({ chosen, faults, onFile, onClear }: FilesProps) {
  const [over, setOver] = useState(false);
  return (
    <div
      className={`drop ${over ? 'drop-over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        const free = PARTS.filter((part) => chosen[part] === undefined);
        for (const file of event.dataTransfer.files) {
          const part = partOf(file.name, free);
          if (part === undefined) break;
          free.splice(free.indexOf(part), 1);
          onFile(part, file);
        }
      }}
    >
      <p className="drop-hint">
        <Icon name="down" /> Drop the files here: a model, calibration samples, and evaluation data if there is any
      </p>
      {PARTS.map((part) => (
        <Slot
          key={part}
          part={part}
          chosen={chosen[part]}
          fault={faults[part]}
          onFile={(file) => onFile(part, file)}
          onClear={() => onClear(part)}
        />
      ))}
    </div>
  );
}
