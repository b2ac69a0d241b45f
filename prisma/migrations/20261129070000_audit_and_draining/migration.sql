-- Who changed keys, teams and what belongs to others. No reference: the log outlives what it tells of
CREATE TABLE "audit_log" (
    "seq" BIGSERIAL NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "action" TEXT NOT NULL,
    "actor_key_id" TEXT,
    "actor_key_prefix" TEXT,
    "actor_team_id" TEXT,
    "request_id" TEXT,
    "address" TEXT,
    "team_id" TEXT,
    "subject" TEXT NOT NULL,
    "detail" JSONB NOT NULL DEFAULT '{}',

    CONSTRAINT "audit_log_pkey" PRIMARY KEY ("seq")
);
CREATE INDEX "audit_log_at_idx" ON "audit_log"("at");
CREATE INDEX "audit_log_team_id_seq_idx" ON "audit_log"("team_id", "seq" DESC);

-- A worker that takes no more tasks (NULL: it takes them), and the connection of its process by which it is known to be alive
ALTER TABLE "workers"
    ADD COLUMN "draining_since" TIMESTAMPTZ(3),
    ADD COLUMN "session" TEXT;
