-- The reconcilers look for jobs past their deadline every few seconds: without reading all that wait
CREATE INDEX "jobs_queued_at_idx" ON "jobs"("queued_at") WHERE (deadline_seconds is not null and status in ('queued', 'running'));
