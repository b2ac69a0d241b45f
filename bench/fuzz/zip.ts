import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  name: string;
  data: Buffer;
  deflate: boolean;
}

/** A plain zip, made in one piece: what is fuzzed has to be small and quick to make. */
export function zipOf(entries: ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, deflate } of entries) {
    const stored = deflate ? deflateRawSync(data) : data;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(deflate ? 8 : 0, 4);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(stored.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), stored]);
    const head = Buffer.alloc(46);
    head.write('PK\x01\x02');
    head.writeUInt16LE(20, 4);
    common.copy(head, 6);
    head.writeUInt32LE(offset, 42);
    directory.push(head, Buffer.from(name));
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

const TWO = 2;
const FOUR = 4;
const fields = (two: number[], four: number[]) => [
  ...two.map((offset) => ({ offset, bytes: TWO })),
  ...four.map((offset) => ({ offset, bytes: FOUR })),
];

/** Fields of the records of a zip, from their signature on. */
const FIELDS = {
  // version, flags, method, lengths of name and extra field; checksum and sizes
  'PK\x03\x04': fields([4, 6, 8, 26, 28], [14, 18, 22]),
  // the same, comment, disk and attributes; offset of the local header
  'PK\x01\x02': fields([6, 8, 10, 28, 30, 32, 34, 36], [16, 20, 24, 38, 42]),
  // disks, entries, comment; size and offset of the directory
  'PK\x05\x06': fields([4, 6, 8, 10, 20], [12, 16]),
};

/** A lie in one field of one record of a zip. */
export function lieInZip(zip: Buffer, integer: (below: number) => number): Buffer {
  const lied = Buffer.from(zip);
  const places = Object.entries(FIELDS).flatMap(([signature, known]) => {
    const found: { at: number; bytes: number }[] = [];
    for (let from = lied.indexOf(signature, 0, 'latin1'); from >= 0; from = lied.indexOf(signature, from + 4, 'latin1'))
      for (const { offset, bytes } of known)
        if (from + offset + bytes <= lied.length) found.push({ at: from + offset, bytes });
    return found;
  });
  const place = places[integer(places.length)];
  if (place === undefined) return lied;
  const top = 256 ** place.bytes;
  const now = lied.readUIntLE(place.at, place.bytes);
  const values = [0, 1, now + 1, now - 1, now * 2, top - 1, top / 2, lied.length, integer(top), 8, 99];
  lied.writeUIntLE(((values[integer(values.length)] ?? 0) + top) % top, place.at, place.bytes);
  return lied;
}
