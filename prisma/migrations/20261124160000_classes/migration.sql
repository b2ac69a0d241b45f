-- Jobs may ask for a kind of worker; NULL: any will do. The lane is where a task was released to, see src/jobs/lanes.ts
ALTER TABLE "jobs" ADD COLUMN "needs" JSONB;
ALTER TABLE "tasks"
    ADD COLUMN "needs" JSONB,
    ADD COLUMN "lane" TEXT NOT NULL DEFAULT '';
ALTER TABLE "workers"
    ADD COLUMN "class" TEXT,
    ADD COLUMN "device_memory_bytes" BIGINT NOT NULL DEFAULT 0;

-- Every lane is shared fairly by itself
CREATE TABLE "team_lanes" (
    "team_id" TEXT NOT NULL,
    "lane" TEXT NOT NULL,
    "virtual_seconds" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "backlogged" BOOLEAN NOT NULL DEFAULT false,

    CONSTRAINT "team_lanes_pkey" PRIMARY KEY ("team_id","lane")
);
ALTER TABLE "team_lanes" ADD CONSTRAINT "team_lanes_team_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams"("id") ON DELETE CASCADE ON UPDATE CASCADE;
INSERT INTO "team_lanes" ("team_id", "lane", "virtual_seconds", "backlogged")
SELECT "id", '', "virtual_seconds", "backlogged" FROM "teams";
ALTER TABLE "teams" DROP COLUMN "virtual_seconds", DROP COLUMN "backlogged";

-- Whether a worker has what a task needs, as `canRun` of src/jobs/lanes.ts says it
CREATE FUNCTION "sparank_can_run"(needs jsonb, engine text, device_memory_bytes bigint, class text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT needs IS NULL OR (
        coalesce(needs->>'engine' = engine, NOT needs ? 'engine')
        AND coalesce((needs->>'device_memory_bytes')::bigint, 0) <= device_memory_bytes
        AND coalesce(needs->>'class' = class, NOT needs ? 'class'))
$$;

CREATE OR REPLACE FUNCTION "sparank_order_task"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT "priority", "sparank_rank"("created_at", "device_seconds"), "needs" INTO NEW."priority", NEW."rank", NEW."needs"
    FROM "jobs" WHERE "id" = NEW."job_id";
    RETURN NEW;
END $$;
