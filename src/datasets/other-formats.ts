import { open } from 'node:fs/promises';
import { topLevelFields } from './protobuf-fields.js';

/** A file of something else: what it is, and how to get from it what is wanted. */
interface Format {
  /** As in "this is …". */
  name: string;
  /** How to make a model of it. */
  toModel?: string;
  /** How to make samples of it. */
  toSamples?: string;
}

interface Known extends Format {
  matches: (head: Buffer) => boolean;
}

interface KnownZip extends Format {
  /** Of the names in a zip, one by one. */
  has: RegExp;
}

const HEAD_BYTES = 1 << 16;

const SEND_ONNX = 'send the .onnx file, or a zip of it and its external data';
const SEND_NPZ = 'save the samples with numpy.savez(path, x=samples)';
const EXPORT = 'export the network to ONNX from the framework that it was trained in';
const TORCH = 'load it in PyTorch and write torch.onnx.export(model, (example,), "model.onnx")';
const tf2onnx = (option: string) => `python -m tf2onnx.convert ${option} --output model.onnx makes one of it`;
const UNPACK = { toModel: `unpack it, and ${SEND_ONNX}`, toSamples: 'unpack it, and send the .npz file itself' };
const FETCH = {
  toModel: `fetch the file itself, and ${SEND_ONNX}`,
  toSamples: 'fetch the .npz file itself, and send that',
};

const at = (offset: number, ...magics: (string | Buffer)[]) => {
  const wanted = magics.map((magic) => (typeof magic === 'string' ? Buffer.from(magic, 'latin1') : magic));
  return (head: Buffer) => wanted.some((magic) => head.subarray(offset, offset + magic.length).equals(magic));
};
const text = (pattern: RegExp) => (head: Buffer) => pattern.test(head.toString('latin1', 0, 4096));
const printable = (bytes: Buffer | undefined): boolean =>
  bytes !== undefined && bytes.length > 0 && /^[\x20-\x7e]+$/.test(bytes.toString('latin1'));

/** The header of safetensors is JSON behind its length. */
const isSafetensors = (head: Buffer): boolean =>
  head.length > 9 && head.readBigUInt64LE(0) < 2n ** 32n && /^\{\s*["}]/.test(head.toString('latin1', 8, 40));

/** A Model has its version first, then a description, then its kind: 200 and above. */
function isCoreMl(head: Buffer): boolean {
  const fields = topLevelFields(head);
  return fields[0]?.number === 1 && fields[1]?.number === 2 && fields.some(({ number }) => number >= 200);
}

/** A SavedModel has its version, 1, and then its graphs; a graph of ONNX is no second field. */
const isSavedModel = (head: Buffer): boolean => at(0, '\x08\x01\x12')(head) && !isCoreMl(head);

/** A GraphDef begins with a node: its name and its operation. */
function isGraphDef(head: Buffer): boolean {
  const [node] = topLevelFields(head);
  if (node?.number !== 1 || node.bytes === undefined) return false;
  const [name, operation] = topLevelFields(node.bytes);
  return name?.number === 1 && operation?.number === 2 && printable(name.bytes) && printable(operation.bytes);
}

/** By what they begin with, the surest first. */
const KNOWN: readonly Known[] = [
  {
    name: 'an HDF5 file (.h5, as Keras makes them)',
    matches: at(0, '\x89HDF\r\n\x1a\n'),
    toModel: tf2onnx('--keras model.h5'),
  },
  { name: 'a TensorFlow Lite model', matches: at(4, 'TFL3'), toModel: tf2onnx('--tflite model.tflite') },
  {
    name: "a model in ONNX Runtime's own format (.ort)",
    matches: at(4, 'ORTM'),
    toModel: 'send the .onnx file that it was made of',
  },
  { name: 'a GGUF file of weights', matches: at(0, 'GGUF'), toModel: EXPORT },
  {
    name: 'a PyTorch file of before version 1.6 (.pt, .pth)',
    matches: at(0, '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19'),
    toModel: TORCH,
  },
  {
    name: 'a Python pickle (none is ever loaded here)',
    matches: at(0, '\x80\x02', '\x80\x03', '\x80\x04', '\x80\x05'),
    toModel: EXPORT,
  },
  { name: 'a NumPy array (.npy)', matches: at(0, '\x93NUMPY') },
  { name: 'a gzip file', matches: at(0, '\x1f\x8b'), ...UNPACK },
  { name: 'a bzip2 file', matches: at(0, 'BZh'), ...UNPACK },
  { name: 'an xz file', matches: at(0, '\xfd7zXZ\0'), ...UNPACK },
  { name: 'a zstd file', matches: at(0, '\x28\xb5\x2f\xfd'), ...UNPACK },
  { name: 'a 7z archive', matches: at(0, "7z\xbc\xaf'\x1c"), ...UNPACK },
  { name: 'a RAR archive', matches: at(0, 'Rar!'), ...UNPACK },
  { name: 'a tar archive', matches: at(257, 'ustar'), ...UNPACK },
  { name: 'a Parquet file', matches: at(0, 'PAR1') },
  { name: 'a MATLAB file', matches: at(0, 'MATLAB ') },
  { name: 'a PNG picture', matches: at(0, '\x89PNG') },
  { name: 'a JPEG picture', matches: at(0, '\xff\xd8\xff') },
  {
    name: 'a pointer of Git LFS',
    matches: text(/^version https:\/\/git-lfs\./),
    toModel: `git lfs pull brings the file; then ${SEND_ONNX}`,
    toSamples: 'git lfs pull brings the file; send that',
  },
  { name: 'a page of HTML (a login, or an error)', matches: text(/^\s*<(!doctype html|html|head)/i), ...FETCH },
  { name: 'an OpenVINO network', matches: text(/^\s*(<\?xml[^>]*>\s*)?<net\s/), toModel: EXPORT },
  {
    name: 'the model.json of a TensorFlow.js model',
    matches: text(/^\s*\{[^]*"(modelTopology|weightsManifest)"/),
    toModel: 'send a zip of it and of the shards that it names',
  },
  {
    name: 'a safetensors file (weights without a network)',
    matches: isSafetensors,
    toModel: `load them into their network; ${EXPORT}`,
  },
  { name: 'JSON', matches: text(/^\s*\{\s*"/), toModel: EXPORT },
  { name: 'a Core ML model', matches: isCoreMl, toModel: EXPORT },
  { name: 'a TensorFlow SavedModel', matches: isSavedModel, toModel: tf2onnx('--saved-model FOLDER') },
  {
    name: 'a frozen TensorFlow graph',
    matches: isGraphDef,
    toModel: tf2onnx('--graphdef model.pb --inputs NAME:0 --outputs NAME:0'),
  },
];

const NPZ = 'an .npz file of samples';
const ONNX_ZIP = 'a zip with an ONNX model';
const TFJS_ZIP = 'a zip with a TensorFlow.js model';
/** What is no other format where it was asked for. */
const WANTED: Readonly<Record<SentAs, readonly string[]>> = { model: [ONNX_ZIP, TFJS_ZIP], samples: [NPZ] };

const KNOWN_ZIPS: readonly KnownZip[] = [
  { name: 'a TorchScript file', has: /(^|\/)constants\.pkl$/, toModel: TORCH },
  { name: 'a PyTorch file (.pt, .pth)', has: /(^|\/)data\.pkl$/, toModel: TORCH },
  {
    name: 'a program of torch.export (.pt2)',
    has: /(^|\/)(serialized_exported_program\.json|archive_format)$/,
    toModel: 'load it with torch.export.load and write torch.onnx.export(program, (), "model.onnx")',
  },
  {
    name: 'a Keras file (.keras)',
    has: /(^|\/)model\.weights\.h5$/,
    toModel: 'load it in Keras and write model.export("model.onnx", format="onnx")',
  },
  { name: 'a TensorFlow SavedModel', has: /(^|\/)saved_model\.pb$/, toModel: tf2onnx('--saved-model FOLDER') },
  { name: TFJS_ZIP, has: /(^|\/)model\.json$/, toSamples: `were model and samples mixed up? Otherwise ${SEND_NPZ}` },
  { name: 'a Core ML package', has: /com\.apple\.CoreML\//, toModel: EXPORT },
  { name: 'a safetensors file in a zip (weights without a network)', has: /\.safetensors$/, toModel: EXPORT },
  { name: NPZ, has: /\.npy$/, toModel: `were model and samples mixed up? Otherwise ${SEND_ONNX}` },
  { name: ONNX_ZIP, has: /\.onnx$/i, toSamples: `were model and samples mixed up? Otherwise ${SEND_NPZ}` },
];

/** ONNX begins with the version of its format, and the name of the program that wrote it. */
const ONNX: Known = {
  name: 'an ONNX model',
  matches: (head) => head[0] === 8 && (head[1] ?? 0) > 0 && (head[1] ?? 0) < 20 && head[2] === 0x12,
  toSamples: `were model and samples mixed up? Otherwise ${SEND_NPZ}`,
};

/** What the file was sent as. */
export type SentAs = 'model' | 'samples';

/** "this is …, not …: …", or null where nothing that is known here fits. */
function sentence(known: Format | undefined, sentAs: SentAs): string | null {
  if (known === undefined) return null;
  const { name, toModel = SEND_ONNX, toSamples = SEND_NPZ } = known;
  return sentAs === 'model'
    ? `this is ${name}, not an ONNX file: ${toModel}`
    : `this is ${name}, not an .npz file: ${toSamples}`;
}

/** What a file that is not what it should be is instead, by what it begins with, and what to do. */
export async function otherFormat(path: string, sentAs: SentAs): Promise<string | null> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0);
    const begin = head.subarray(0, bytesRead);
    const known = sentAs === 'model' ? KNOWN : [...KNOWN, ONNX];
    return sentence(
      known.find(({ matches }) => matches(begin)),
      sentAs,
    );
  } finally {
    await file.close();
  }
}

/** The same of a zip, by the names in it. */
export function otherZip(names: Iterable<string>, sentAs: SentAs): string | null {
  const all = [...names];
  const known = KNOWN_ZIPS.filter(({ name }) => !WANTED[sentAs].includes(name));
  return sentence(
    known.find(({ has }) => all.some((name) => has.test(name))),
    sentAs,
  );
}
