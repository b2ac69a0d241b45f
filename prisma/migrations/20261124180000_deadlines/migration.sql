-- When the job was accepted, or accepted again by a retry: its deadline counts from here, time in the queue included.
-- A process of the version before, which does not know the column, gets the right value by the default.
ALTER TABLE "jobs" ADD COLUMN "queued_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;
-- Jobs that were accepted under the rule that only the time of running counts have the whole time from now on.
