const CONTENT_TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  json: 'application/json',
  onnx: 'application/octet-stream',
  zip: 'application/zip',
  npz: 'application/zip',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
};

/** Media type of an artifact, by the end of its name. */
export function artifactContentType(name: string): string {
  const extension = name.slice(name.lastIndexOf('.') + 1).toLowerCase();
  return CONTENT_TYPES[extension] ?? 'application/octet-stream';
}
