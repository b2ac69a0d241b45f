const SHA256 = '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae';
const UPLOAD = 'upl_8x3k2m9q4r7t1v5w6y0z';
const CREATED = '2026-01-31T12:00:00.000Z';

/** Specifications to begin with. */
export const SPEC_EXAMPLES = {
  smallest: {
    summary: 'Uploaded files, and a fourth of the parameters',
    value: {
      model: { upload: UPLOAD },
      calibration: { upload: `sha256:${SHA256}` },
      target: { parameter_ratio: 4 },
    },
  },
  curve: {
    summary: 'Three points of the trade-off curve, held against bounds',
    value: {
      model: { upload: UPLOAD },
      calibration: { url: 'https://data.example.org/calibration.npz', sha256: SHA256 },
      evaluation: { upload: `sha256:${SHA256}` },
      targets: [{ parameter_ratio: 4 }, { parameter_ratio: 8 }, { speedup: 2 }],
      constraints: { max_accuracy_drop: 0.01 },
      labels: { pipeline: 'nightly' },
      webhook: { url: 'https://ci.example.org/hooks/sparank' },
    },
  },
};

/** By the name of the schema. */
export const EXAMPLES: Record<string, unknown[]> = {
  SpecRequest: [SPEC_EXAMPLES.smallest.value],
  Upload: [
    {
      id: UPLOAD,
      object: 'upload',
      sha256: SHA256,
      bytes: 1048576,
      filename: 'model.onnx',
      created_at: CREATED,
      expires_at: '2026-02-07T12:00:00.000Z',
    },
  ],
  Event: [{ id: '7', job_id: 'job_5h2k9m3q7r1t4v8w0x6y', type: 'job.started', data: {}, created_at: CREATED }],
  QueuePlace: [{ position: 3, reason: 'waiting_for_worker', expected_start_seconds: 95 }],
  Problem: [
    {
      type: 'urn:sparank:error:invalid_spec',
      title: 'The job specification is not valid',
      status: 422,
      detail: '/target/parameter_ratio must be at least 1',
      instance: '/jobs',
      code: 'invalid_spec',
      request_id: '0d7c3c1e-55a7-4b0a-9a3c-0a6f2f3f8f8e',
      errors: [{ pointer: '/target/parameter_ratio', detail: 'must be at least 1' }],
    },
  ],
};
