-- Limits of a team; null: the setting of the service
ALTER TABLE "teams"
    ADD COLUMN "max_running_tasks" INTEGER,
    ADD COLUMN "max_queued_jobs" INTEGER,
    ADD COLUMN "max_storage_bytes" BIGINT,
    ADD COLUMN "requests_per_minute" INTEGER,
    ADD COLUMN "virtual_seconds" DOUBLE PRECISION NOT NULL DEFAULT 0,
    ADD COLUMN "task_seconds" DOUBLE PRECISION NOT NULL DEFAULT 0,
    ADD COLUMN "job_seconds" DOUBLE PRECISION NOT NULL DEFAULT 0,
    ADD COLUMN "backlogged" BOOLEAN NOT NULL DEFAULT false;

-- Names tell teams apart; equal ones from before get their id
UPDATE "teams" SET "name" = "name" || ' ' || "id"
WHERE "id" NOT IN (SELECT DISTINCT ON ("name") "id" FROM "teams" ORDER BY "name", "created_at", "id");
CREATE UNIQUE INDEX "teams_name_key" ON "teams"("name");

-- What a team may keep is summed up at every upload
CREATE INDEX "artifacts_team_id_idx" ON "artifacts"("team_id");

-- What devices and storage did for a team, by day and job; stays when the job is deleted
CREATE TABLE "usage" (
    "team_id" TEXT NOT NULL,
    "day" DATE NOT NULL,
    "job_id" TEXT NOT NULL,
    "labels" JSONB NOT NULL DEFAULT '{}',
    "jobs" INTEGER NOT NULL DEFAULT 0,
    "tasks" INTEGER NOT NULL DEFAULT 0,
    "device_seconds" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "upload_bytes" BIGINT NOT NULL DEFAULT 0,
    "artifact_bytes" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "usage_pkey" PRIMARY KEY ("team_id","day","job_id")
);
CREATE INDEX "usage_day_idx" ON "usage"("day");
ALTER TABLE "usage" ADD CONSTRAINT "usage_team_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The order of a team's tasks, beside the task, so that the first ones are found by an index
ALTER TABLE "tasks"
    ADD COLUMN "priority" SMALLINT NOT NULL DEFAULT 1,
    ADD COLUMN "rank" DOUBLE PRECISION NOT NULL DEFAULT 0;
DROP INDEX "tasks_state_team_id_not_before_idx";
CREATE INDEX "tasks_state_team_id_priority_rank_idx" ON "tasks"("state", "team_id", "priority" DESC, "rank");

-- Older jobs first; one that has used more than five device minutes lets younger ones pass, ten seconds for each further second
CREATE FUNCTION "sparank_rank"(created timestamptz, device_seconds double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT extract(epoch FROM created)::double precision + 10 * greatest(0, device_seconds - 300)
$$;
CREATE FUNCTION "sparank_order_task"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT "priority", "sparank_rank"("created_at", "device_seconds") INTO NEW."priority", NEW."rank"
    FROM "jobs" WHERE "id" = NEW."job_id";
    RETURN NEW;
END $$;
CREATE TRIGGER "tasks_order" BEFORE INSERT ON "tasks" FOR EACH ROW EXECUTE FUNCTION "sparank_order_task"();
UPDATE "tasks" SET "priority" = j."priority", "rank" = "sparank_rank"(j."created_at", j."device_seconds")
FROM "jobs" j WHERE j."id" = "tasks"."job_id";

-- What was used so far
INSERT INTO "usage" ("team_id", "day", "job_id", "labels", "jobs", "tasks", "device_seconds", "artifact_bytes")
SELECT j."team_id", (j."created_at" AT TIME ZONE 'UTC')::date, j."id", j."labels", 1,
    (SELECT count(*) FROM "tasks" t WHERE t."job_id" = j."id" AND t."device_seconds" > 0), j."device_seconds",
    coalesce((SELECT sum("bytes") FROM "artifacts" a WHERE a."job_id" = j."id"), 0)
FROM "jobs" j;
