// Compresses a model with a service, in Node: SPARANK_URL and SPARANK_API_KEY say which.
// node pipeline.mjs MODEL CALIBRATION EVALUATION OUTPUT
import { Sparank } from 'sparank-client';

const [model, calibration, evaluation, output] = process.argv.slice(2);

const job = await new Sparank().compress(model, calibration, {
  evaluation,
  target: { parameter_ratio: 2 },
  constraints: { max_relative_error: 0.5 },
  labels: { pipeline: 'nightly' },
});
await job.wait({ onProgress: ({ status, progress }) => console.log(status, progress.fraction.toFixed(2)) });
await job.save('model.onnx', output);

const { parameters, speedup } = job.view.metrics;
console.log(`${parameters.ratio.toFixed(2)}x fewer parameters, ${speedup.toFixed(2)}x faster`);
// A pipeline stops here when the verdict is no.
process.exitCode = job.passed ? 0 : 3;
