-- Why a worker takes no tasks for now: {code, reason, since}; NULL while it is in service
ALTER TABLE "workers" ADD COLUMN "trouble" JSONB;
-- Seconds by which started_at was moved on, for what the attempt waited for things that were away; how often a worker gave the task back for a fault of its own
ALTER TABLE "tasks"
    ADD COLUMN "idle_seconds" DOUBLE PRECISION NOT NULL DEFAULT 0,
    ADD COLUMN "hand_backs" INTEGER NOT NULL DEFAULT 0;
