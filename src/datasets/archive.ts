import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openPromise, type Entry, type ZipFile } from 'yauzl';
import { InputError } from '../errors/index.js';

export interface ArchiveLimits {
  maxArchiveEntries: number;
  maxArchiveRatio: number;
  /** Total bytes that may be unpacked. */
  maxBytes: number;
}

const bad = (detail: string, entry?: string): InputError =>
  new InputError('invalid_archive', detail, {
    faults: [{ pointer: entry === undefined ? '#archive' : `#archive/${entry}`, detail }],
  });

const exceeded = (detail: string, entry?: string): InputError =>
  new InputError('limit_exceeded', detail, {
    faults: [{ pointer: entry === undefined ? '#archive' : `#archive/${entry}`, detail }],
  });

export async function isZip(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const magic = Buffer.alloc(4);
    await file.read(magic, 0, 4, 0);
    return magic.equals(Buffer.from('PK\x03\x04')) || magic.equals(Buffer.from('PK\x05\x06'));
  } finally {
    await file.close();
  }
}

/** What archivers of some systems add. */
export const isJunk = (name: string): boolean =>
  name.startsWith('__MACOSX/') || name.slice(name.lastIndexOf('/') + 1).startsWith('._');

/** An opened zip whose directory has been checked; nothing is unpacked until asked for. */
export class Archive {
  private unpacked = 0;

  private constructor(
    private readonly zip: ZipFile,
    readonly entries: ReadonlyMap<string, Entry>,
    private readonly packedBytes: number,
    private readonly limits: ArchiveLimits,
  ) {}

  static async open(path: string, limits: ArchiveLimits): Promise<Archive> {
    const { size } = await stat(path);
    let zip: ZipFile;
    try {
      zip = await openPromise(path, { lazyEntries: true, autoClose: false, strictFileNames: true });
    } catch (error) {
      throw bad(`not a readable zip archive: ${message(error)}`);
    }
    try {
      if (zip.entryCount > limits.maxArchiveEntries) {
        throw exceeded(
          `the archive has ${String(zip.entryCount)} entries; MAX_ARCHIVE_ENTRIES is ${String(limits.maxArchiveEntries)}`,
        );
      }
      const entries = new Map<string, Entry>();
      let claimed = 0;
      for await (const entry of readEntries(zip)) {
        checkEntry(entry);
        if (entries.has(entry.fileName)) throw bad(`two entries are named ${entry.fileName}`, entry.fileName);
        entries.set(entry.fileName, entry);
        claimed += entry.uncompressedSize;
        if (entries.size > limits.maxArchiveEntries)
          throw exceeded('the archive has more entries than MAX_ARCHIVE_ENTRIES');
      }
      const archive = new Archive(zip, entries, size, limits);
      archive.allow(claimed);
      return archive;
    } catch (error) {
      zip.close();
      throw error;
    }
  }

  private allow(bytes: number, entry?: string): void {
    if (bytes > this.limits.maxBytes) {
      throw exceeded(`the archive expands to more than ${String(this.limits.maxBytes)} bytes`, entry);
    }
    if (bytes > this.packedBytes * this.limits.maxArchiveRatio) {
      throw exceeded(
        `the archive expands more than ${String(this.limits.maxArchiveRatio)} times its size (MAX_ARCHIVE_RATIO)`,
        entry,
      );
    }
  }

  /** Unpacks one entry to `path`. What the entry claims is not believed: bytes are counted as they come. */
  async extract(name: string, path: string, signal?: AbortSignal): Promise<void> {
    const entry = this.entries.get(name);
    if (entry === undefined) throw bad(`the archive has no entry ${name}`, name);
    const count = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        this.unpacked += chunk.length;
        try {
          this.allow(this.unpacked, name);
          done(null, chunk);
        } catch (error) {
          done(error as Error);
        }
      },
    });
    try {
      // Opened first: a stream that failed while it still opened its file would make the file after we removed it, and
      // a source that failed while we wait for the file would have nobody to tell.
      const file = await open(path, 'wx', 0o600);
      try {
        const source = await this.zip.openReadStreamPromise(entry);
        await pipeline(source, count, file.createWriteStream(), { signal });
      } finally {
        await file.close();
      }
    } catch (error) {
      await rm(path, { force: true });
      if (error instanceof InputError || signal?.aborted === true || isSystemError(error)) throw error;
      throw bad(`entry ${name} cannot be unpacked: ${message(error)}`, name);
    }
  }

  /** Where the bytes of an entry lie in the archive's file, when they are stored as they are. */
  async locate(name: string): Promise<{ offset: number; bytes: number } | null> {
    const entry = this.entries.get(name);
    if (entry?.compressionMethod !== 0) return null;
    try {
      const { fileDataStart } = await this.zip.readLocalFileHeaderPromise(entry, { minimal: true });
      return { offset: fileDataStart, bytes: entry.uncompressedSize };
    } catch (error) {
      throw bad(`entry ${name} cannot be read: ${message(error)}`, name);
    }
  }

  /** Unpacks entries into `directory` under their last name; removes what it wrote when it fails. */
  async extractAll(names: readonly string[], directory: string, signal?: AbortSignal): Promise<void> {
    const written: string[] = [];
    try {
      for (const name of names) {
        const path = join(directory, name.slice(name.lastIndexOf('/') + 1));
        await this.extract(name, path, signal);
        written.push(path);
      }
    } catch (error) {
      for (const path of written) await rm(path, { force: true });
      throw error;
    }
  }

  close(): void {
    this.zip.close();
  }
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Errors of our own disk (ENOSPC, EACCES) are not the client's fault. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

async function* readEntries(zip: ZipFile): AsyncGenerator<Entry> {
  try {
    for await (const entry of zip.eachEntry()) yield entry;
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw bad(`the archive cannot be read: ${message(error)}`);
  }
}

const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

function checkEntry(entry: Entry): void {
  const name = entry.fileName;
  const parts = name.split('/');
  if (
    name.startsWith('/') ||
    name.includes('\\') ||
    /^[A-Za-z]:/.test(name) ||
    name.includes('\0') ||
    parts.includes('..')
  ) {
    throw bad(`entry ${JSON.stringify(name)} points outside the archive`, name);
  }
  const type = (entry.externalFileAttributes >>> 16) & S_IFMT;
  if (type === S_IFLNK) throw bad(`entry ${name} is a symbolic link`, name);
  if (type !== 0 && type !== S_IFREG && type !== S_IFDIR) throw bad(`entry ${name} is not a regular file`, name);
  if (entry.isEncrypted()) throw bad(`entry ${name} is encrypted`, name);
  if (entry.compressionMethod !== 0 && entry.compressionMethod !== 8) {
    throw bad(
      `entry ${name} uses compression method ${String(entry.compressionMethod)}; only stored and deflated are read`,
      name,
    );
  }
}
