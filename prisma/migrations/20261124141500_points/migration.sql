-- A job may have several points of the trade-off curve: one for every target, counted from 1.

-- AlterTable
ALTER TABLE "jobs" ADD COLUMN "points" JSONB;

-- AlterTable
ALTER TABLE "tasks" ADD COLUMN "point" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "layers" DROP CONSTRAINT "layers_pkey",
ADD COLUMN "point" INTEGER NOT NULL DEFAULT 1,
ADD CONSTRAINT "layers_pkey" PRIMARY KEY ("job_id", "point", "index");

-- DropIndex
DROP INDEX "tasks_job_id_kind_layer_key";

-- CreateIndex
CREATE UNIQUE INDEX "tasks_job_id_kind_layer_point_key" ON "tasks"("job_id", "kind", "layer", "point");

-- Jobs that are under way go on as jobs with one point.
UPDATE "tasks" SET "point" = 1 WHERE "kind" = 'assemble';

UPDATE "tasks" SET "result" = jsonb_build_object('points', jsonb_build_array(jsonb_build_object(
  'point', 1, 'target', j."spec"->'target', 'allocations', "tasks"."result"->'allocations',
  'layers', "tasks"."result"->'layers', 'error', null)))
FROM "jobs" j WHERE j."id" = "tasks"."job_id" AND "tasks"."kind" = 'plan' AND "tasks"."result" IS NOT NULL;

UPDATE "tasks" SET "result" = jsonb_build_object('rows', jsonb_build_array("result"->'layer'))
WHERE "kind" = 'layer' AND "result" IS NOT NULL;

UPDATE "jobs" SET "points" = jsonb_build_array(jsonb_build_object(
  'point', 1, 'target', "spec"->'target',
  'model', (SELECT a."name" FROM "artifacts" a WHERE a."job_id" = "jobs"."id" AND a."name" LIKE 'model.%' LIMIT 1),
  'metrics', "metrics", 'verdict', "verdict", 'error', null))
WHERE "metrics" IS NOT NULL;
