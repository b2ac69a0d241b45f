-- What clients were told of the start of their jobs: a sample, to be held against when the jobs started
CREATE TABLE "start_predictions" (
    "job_id" TEXT NOT NULL,
    "made_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expected_seconds" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "start_predictions_pkey" PRIMARY KEY ("job_id")
);
CREATE INDEX "start_predictions_made_at_idx" ON "start_predictions"("made_at");
ALTER TABLE "start_predictions" ADD CONSTRAINT "start_predictions_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
