/** A field of a protobuf message: the wire format alone, without a schema. */
interface Field {
  tag: bigint;
  /** Of a varint. */
  number?: bigint;
  /** Of fixed fields and of those with a length. */
  bytes?: Buffer;
  /** The same as a message, where it reads as one. */
  message?: Field[];
  /** What its length is said to be. */
  length?: bigint;
}

const MOST_BYTES = 10;
const LEAST_MESSAGE = 2;

function readVarint(bytes: Buffer, at: number): { value: bigint; next: number } | null {
  let value = 0n;
  for (let i = 0; i < MOST_BYTES && at + i < bytes.length; i++) {
    const byte = bytes[at + i] ?? 0;
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return { value, next: at + i + 1 };
  }
  return null;
}

function writeVarint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}

function parse(bytes: Buffer): Field[] | null {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at);
    if (tag === null || tag.value >> 3n === 0n || tag.value > 1n << 20n) return null;
    at = tag.next;
    const field: Field = { tag: tag.value };
    const wire = Number(tag.value & 7n);
    if (wire === 0) {
      const number = readVarint(bytes, at);
      if (number === null) return null;
      field.number = number.value;
      at = number.next;
    } else if (wire === 1 || wire === 5) {
      const size = wire === 1 ? 8 : 4;
      if (at + size > bytes.length) return null;
      field.bytes = bytes.subarray(at, at + size);
      at += size;
    } else if (wire === 2) {
      const length = readVarint(bytes, at);
      if (length === null || length.next + Number(length.value) > bytes.length) return null;
      at = length.next + Number(length.value);
      field.bytes = bytes.subarray(length.next, at);
      const message = field.bytes.length >= LEAST_MESSAGE ? parse(field.bytes) : null;
      if (message !== null) field.message = message;
    } else return null;
    fields.push(field);
  }
  return fields;
}

function write(fields: Field[]): Buffer {
  return Buffer.concat(
    fields.map(({ tag, number, bytes, message, length }) => {
      if (number !== undefined) return Buffer.concat([writeVarint(tag), writeVarint(number)]);
      const content = message === undefined ? (bytes ?? Buffer.alloc(0)) : write(message);
      if ((tag & 7n) !== 2n) return Buffer.concat([writeVarint(tag), content]);
      return Buffer.concat([writeVarint(tag), writeVarint(length ?? BigInt(content.length)), content]);
    }),
  );
}

const NUMBERS = [
  0n,
  1n,
  2n,
  7n,
  127n,
  1n << 31n,
  (1n << 31n) - 1n,
  (1n << 32n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
];

/** Changes one field somewhere in the message: its number, type, length, content or place, or makes it many. */
export function mutateProtobuf(bytes: Buffer, integer: (below: number) => number): Buffer {
  const root = parse(bytes);
  if (root === null) return bytes;
  // Down to a random depth, so that fields of the graph are as likely as those of a tensor.
  let fields = root;
  for (;;) {
    const deeper = fields.filter(({ message }) => message !== undefined && message.length > 0);
    const next = deeper[integer(deeper.length)]?.message;
    if (next === undefined || integer(4) === 0) break;
    fields = next;
  }
  const at = integer(fields.length);
  const field = fields[at];
  if (field === undefined) return bytes;
  const number = () => NUMBERS[integer(NUMBERS.length)] ?? 0n;
  switch (integer(9)) {
    case 0:
      fields.splice(at, 1);
      break;
    case 1:
      fields.splice(integer(fields.length), 0, field);
      break;
    case 2:
      fields.push(...Array.from({ length: 1 + integer(300) }, () => field));
      break;
    case 3:
      fields.splice(at, 1, { ...field, tag: (field.tag & ~7n) | BigInt(integer(8)) });
      break;
    case 4:
      fields.splice(at, 1, { ...field, tag: (BigInt(1 + integer(30)) << 3n) | (field.tag & 7n) });
      break;
    case 5:
      field.length = number();
      break;
    case 6: {
      const { tag } = field;
      fields.splice(at, 1, { tag, bytes: Buffer.from(Array.from({ length: integer(40) }, () => integer(256))) });
      break;
    }
    case 7: {
      // A message inside itself, again and again.
      let inner: Field = field;
      for (let depth = 0; depth < 1 + integer(200); depth++) inner = { tag: field.tag, message: [inner] };
      fields.splice(at, 1, inner);
      break;
    }
    default:
      if (field.number !== undefined) field.number = number();
      else if (field.bytes !== undefined && field.bytes.length > 0) {
        const changed = Buffer.from(field.bytes);
        changed[integer(changed.length)] = integer(256);
        fields.splice(at, 1, { tag: field.tag, bytes: changed });
      }
  }
  return write(root);
}
