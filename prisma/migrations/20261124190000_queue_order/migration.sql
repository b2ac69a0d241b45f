-- The queue as it stands is read again and again, by all who poll: from the index alone, and in its order
DROP INDEX "jobs_status_team_id_idx";
CREATE INDEX "jobs_status_team_id_priority_needs_seq_idx" ON "jobs"("status", "team_id", "priority", "needs", "seq");
