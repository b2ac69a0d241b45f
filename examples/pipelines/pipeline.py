"""Compresses a model with a service, in Python: SPARANK_URL and SPARANK_API_KEY say which.

python pipeline.py MODEL CALIBRATION EVALUATION OUTPUT
"""

import sys

import sparank

model, calibration, evaluation, output = sys.argv[1:]

job = sparank.compress(
    model,
    calibration,
    evaluation=evaluation,
    target={"parameter_ratio": 2},
    constraints={"max_relative_error": 0.5},
    labels={"pipeline": "nightly"},
)
job.wait().download(output)

print(f"{job.metrics['parameters']['ratio']:.2f}x fewer parameters, {job.metrics['speedup']:.2f}x faster")
# A pipeline stops here when the verdict is no.
sys.exit(0 if job.passed else 3)
