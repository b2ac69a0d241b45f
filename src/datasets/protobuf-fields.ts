import protobuf from 'protobufjs';

export interface Field {
  number: number;
  /** Of a field with a length; may be cut. */
  bytes?: Buffer;
}

const LENGTH_DELIMITED = 2;
/** Enough to tell what a message is. */
const MOST_FIELDS = 100;

/** The first fields of a protobuf message of any kind, as far as `bytes` go; nothing is known of what is no message. */
export function topLevelFields(bytes: Buffer): Field[] {
  const reader = protobuf.Reader.create(bytes);
  const fields: Field[] = [];
  try {
    while (reader.pos < reader.len && fields.length < MOST_FIELDS) {
      const tag = reader.uint32();
      const number = tag >>> 3;
      if (number === 0) break;
      if ((tag & 7) !== LENGTH_DELIMITED) {
        reader.skipType(tag & 7);
        fields.push({ number });
        continue;
      }
      const length = reader.uint32();
      const end = reader.pos + length;
      fields.push({ number, bytes: bytes.subarray(reader.pos, end) });
      if (end > reader.len) break;
      reader.pos = end;
    }
  } catch {
    // It ends here, or it is none.
  }
  return fields;
}
