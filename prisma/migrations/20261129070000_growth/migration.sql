-- contract: an index of all tasks gives way to partial ones, and the references of tasks, layers and events to their team, which those to the job imply, go
-- What ended tasks and jobs have cost, until the relay adds it to the accounts of their teams: those who end tasks of a team never
-- wait for each other
CREATE TABLE "charges" (
    "id" BIGSERIAL NOT NULL,
    "team_id" TEXT NOT NULL,
    "lane" TEXT NOT NULL DEFAULT '',
    "task_seconds" DOUBLE PRECISION,
    "job_seconds" DOUBLE PRECISION,

    CONSTRAINT "charges_pkey" PRIMARY KEY ("id")
);
-- It is read all the time and nearly empty
ALTER TABLE "charges" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Open tasks are few, whatever the table holds: only they are looked for by state
DROP INDEX "tasks_state_team_id_priority_rank_idx";
CREATE INDEX "tasks_waiting_idx" ON "tasks"("team_id", "priority" DESC, "rank", "layer", "point", "id") WHERE (state = 'waiting');
CREATE INDEX "tasks_in_use_idx" ON "tasks"("lane", "team_id") WHERE (state in ('released', 'running'));
CREATE INDEX "tasks_worker_id_idx" ON "tasks"("worker_id") WHERE (state = 'running');

-- Rows that change several times keep their place in the indexes when the page has room
ALTER TABLE "tasks" SET (fillfactor = 80);
ALTER TABLE "jobs" SET (fillfactor = 80);

-- Every reference locks the row of the team, and of many at once PostgreSQL keeps lists
ALTER TABLE "tasks" DROP CONSTRAINT "tasks_team_id_fkey";
ALTER TABLE "layers" DROP CONSTRAINT "layers_team_id_fkey";
ALTER TABLE "events" DROP CONSTRAINT "events_team_id_fkey";

DROP TRIGGER "tasks_notify" ON "tasks";
CREATE TRIGGER "tasks_notify_insert" AFTER INSERT ON "tasks" FOR EACH ROW
    WHEN (NEW."state" NOT IN ('released', 'running')) EXECUTE FUNCTION "sparank_notify_tasks"();
CREATE TRIGGER "tasks_notify" AFTER UPDATE OF "state" ON "tasks" FOR EACH ROW
    WHEN (NEW."state" NOT IN ('released', 'running')) EXECUTE FUNCTION "sparank_notify_tasks"();

-- Device time of an attempt that ends: added to the task, the job, what its team is to be charged, and the usage of the day.
-- The caller holds the job's row. A job that has used much lets younger ones of its team pass (sparank_rank).
CREATE FUNCTION "sparank_count_device_time"(p_task text, p_until timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_task tasks;
    v_job jobs;
    v_seconds float8;
BEGIN
    SELECT * INTO v_task FROM tasks WHERE id = p_task;
    v_seconds := coalesce(greatest(0, extract(epoch FROM p_until - v_task.started_at)), 0);
    UPDATE tasks SET device_seconds = device_seconds + v_seconds WHERE id = p_task;
    UPDATE jobs SET device_seconds = device_seconds + v_seconds WHERE id = v_task.job_id RETURNING * INTO v_job;
    PERFORM sparank_charge(v_job, v_task, v_seconds);
END $$;

-- The same without the task and the job, which have it already
CREATE FUNCTION "sparank_charge"(p_job jobs, p_task tasks, p_seconds float8, p_artifact_bytes bigint DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_rank float8 := sparank_rank(p_job.created_at, p_job.device_seconds);
BEGIN
    IF v_rank <> sparank_rank(p_job.created_at, p_job.device_seconds - p_seconds) THEN
        UPDATE tasks SET rank = v_rank WHERE job_id = p_job.id AND state = 'waiting' AND id <> p_task.id AND rank <> v_rank;
    END IF;
    INSERT INTO charges (team_id, lane, task_seconds) VALUES (p_job.team_id, p_task.lane, p_seconds);
    INSERT INTO usage AS u (team_id, day, job_id, labels, tasks, device_seconds, artifact_bytes)
    VALUES (p_job.team_id, (clock_timestamp() AT TIME ZONE 'UTC')::date, p_job.id, p_job.labels, 1, p_seconds, p_artifact_bytes)
    ON CONFLICT (team_id, day, job_id) DO UPDATE SET tasks = u.tasks + 1, device_seconds = u.device_seconds + excluded.device_seconds,
        artifact_bytes = u.artifact_bytes + excluded.artifact_bytes;
END $$;

-- A worker takes a released task. The whole assignment, or null; a repeated call with the same token gets it again
CREATE FUNCTION "sparank_claim"(p_task text, p_attempt int, p_worker text, p_token text, p_lease_seconds float8) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_job jobs;
    v_task tasks;
    v_now timestamptz;
    v_began boolean;
BEGIN
    SELECT j.* INTO v_job FROM jobs j WHERE j.id = (SELECT job_id FROM tasks WHERE id = p_task) FOR NO KEY UPDATE;
    IF NOT FOUND OR v_job.status NOT IN ('queued', 'running') THEN
        RETURN NULL;
    END IF;
    v_now := clock_timestamp();
    v_began := v_job.status = 'queued';
    -- A worker that has changed since the task was released to its like must not take it
    UPDATE tasks t SET state = 'running', worker_id = p_worker, claim_token = p_token, fraction = 0, started_at = v_now,
        heartbeat_at = v_now, lease_until = v_now + make_interval(secs => p_lease_seconds)
    WHERE t.id = p_task AND t.attempt = p_attempt AND t.state = 'released'
        AND (t.needs IS NULL OR EXISTS (SELECT FROM workers w WHERE w.id = p_worker
            AND sparank_can_run(t.needs, w.engine, w.device_memory_bytes, w.class)))
    RETURNING t.* INTO v_task;
    IF FOUND THEN
        UPDATE jobs SET status = 'running', started_at = coalesce(started_at, v_now),
            queued_seconds = queued_seconds + CASE WHEN clock_running THEN 0 ELSE extract(epoch FROM v_now - clock_at) END,
            running_seconds = running_seconds + CASE WHEN clock_running THEN extract(epoch FROM v_now - clock_at) ELSE 0 END,
            clock_running = true, clock_at = v_now
        WHERE id = v_job.id RETURNING * INTO v_job;
        IF v_began THEN
            INSERT INTO events (team_id, job_id, type, data)
            VALUES (v_job.team_id, v_job.id, 'job.started', jsonb_build_object('worker_id', p_worker));
        END IF;
        IF v_task.layer >= 0 THEN
            UPDATE layers SET row = row || jsonb_build_object('status', 'running', 'worker_id', p_worker, 'attempt', v_task.attempt)
            WHERE job_id = v_job.id AND index = v_task.layer AND row->>'decision' IS DISTINCT FROM 'dense';
            INSERT INTO events (team_id, job_id, type, data) VALUES (v_job.team_id, v_job.id, 'layer.started',
                jsonb_build_object('layer', v_task.layer, 'worker_id', p_worker, 'attempt', v_task.attempt));
        END IF;
    ELSE
        SELECT * INTO v_task FROM tasks WHERE id = p_task AND attempt = p_attempt AND claim_token = p_token AND state = 'running';
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    RETURN jsonb_build_object(
        'taskId', v_task.id, 'jobId', v_job.id, 'teamId', v_job.team_id, 'kind', v_task.kind,
        'layer', nullif(v_task.layer, -1), 'point', nullif(v_task.point, 0), 'attempt', v_task.attempt,
        'spec', v_job.spec, 'inputs', v_job.inputs, 'labels', v_job.labels, 'traceparent', v_job.traceparent,
        'seconds', jsonb_build_object('queued', v_job.queued_seconds, 'device', v_job.device_seconds,
            'running', v_job.running_seconds + greatest(0, extract(epoch FROM clock_timestamp() - v_job.clock_at))),
        -- A layer needs nothing of the other layers, which may be hundreds
        'finished', (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', t.kind, 'layer', nullif(t.layer, -1),
                'point', nullif(t.point, 0), 'result', t.result, 'files', t.files, 'peakBytes', t.peak_bytes)
                ORDER BY t.created_at, t.layer, t.point), '[]')
            FROM tasks t WHERE t.job_id = v_job.id AND t.state = 'succeeded' AND (v_task.kind <> 'layer' OR t.kind IN ('inspect', 'plan'))));
END $$;

-- The result of a running task, with everything that follows from it. `p_outcome` is made by src/database/pool/succeed.ts.
-- kept; repeated: it was kept by an earlier call; refused: another attempt has the task; stopping: its job is to end.
CREATE FUNCTION "sparank_succeed"(p_task text, p_attempt int, p_outcome jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_job jobs;
    v_task tasks;
    v_now timestamptz;
    v_spent float8;
    v_open int;
    v_done int;
    v_total int;
    v_step jsonb;
    v_seconds jsonb;
    v_ends boolean := coalesce((p_outcome->>'ends')::boolean, false);
    v_next jsonb := '[]';
    v_phase text;
BEGIN
    SELECT j.* INTO v_job FROM jobs j WHERE j.id = (SELECT job_id FROM tasks WHERE id = p_task) FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'refused';
    END IF;
    SELECT * INTO v_task FROM tasks WHERE id = p_task AND attempt = p_attempt AND state = 'running' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM FROM tasks WHERE id = p_task AND attempt = p_attempt AND state = 'succeeded';
        RETURN CASE WHEN FOUND THEN 'repeated' ELSE 'refused' END;
    END IF;
    IF v_job.status <> 'running' THEN
        RETURN 'stopping';
    END IF;
    v_now := clock_timestamp();
    v_spent := coalesce(greatest(0, extract(epoch FROM v_now - v_task.started_at)), 0);
    UPDATE tasks SET state = 'succeeded', finished_at = v_now, fraction = 1, error = null, result = p_outcome->'result',
        files = p_outcome->'files', peak_bytes = (p_outcome->>'peak_bytes')::bigint, device_seconds = device_seconds + v_spent
    WHERE id = p_task;
    INSERT INTO layers (team_id, job_id, point, index, row)
    SELECT v_job.team_id, v_job.id, (entry->>'point')::int, (entry->'row'->>'index')::int, entry->'row'
    FROM jsonb_array_elements(p_outcome->'rows') AS entry
    ON CONFLICT (job_id, point, index) DO UPDATE SET row = excluded.row;
    IF p_outcome ? 'event' THEN
        INSERT INTO events (team_id, job_id, type, data)
        VALUES (v_job.team_id, v_job.id, p_outcome->'event'->>'type', p_outcome->'event'->'data');
    END IF;
    IF v_ends THEN
        INSERT INTO artifacts (team_id, job_id, name, storage_key, bytes, sha256, content_type, expires_at)
        SELECT v_job.team_id, v_job.id, file->>'name', file->>'key', (file->>'bytes')::bigint, file->>'sha256', file->>'contentType',
            v_now + make_interval(secs => (p_outcome->>'artifact_seconds')::float8)
        FROM jsonb_array_elements(p_outcome->'artifacts') AS file;
        PERFORM sparank_count_device_time(id, v_now) FROM tasks WHERE job_id = v_job.id AND state = 'running';
        UPDATE tasks SET state = 'canceled', finished_at = v_now WHERE job_id = v_job.id AND state IN ('waiting', 'released', 'running');
        SELECT device_seconds INTO v_job.device_seconds FROM jobs WHERE id = v_job.id;
    ELSE
        SELECT count(*) FILTER (WHERE state <> 'succeeded'), count(*) FILTER (WHERE state = 'succeeded'), count(*)
        INTO v_open, v_done, v_total FROM tasks WHERE job_id = v_job.id AND kind = v_task.kind;
        v_step := p_outcome->'own';
        IF v_open = 0 THEN
            v_next := p_outcome->'next';
            v_step := p_outcome->'then';
            SELECT count(*) FILTER (WHERE state = 'succeeded'), greatest(count(*), jsonb_array_length(v_next))
            INTO v_done, v_total FROM tasks WHERE job_id = v_job.id AND kind = v_next->0->>'kind';
        END IF;
        v_phase := v_step->>'phase';
    END IF;
    IF v_job.clock_running THEN
        v_job.running_seconds := v_job.running_seconds + extract(epoch FROM v_now - v_job.clock_at);
    ELSE
        v_job.queued_seconds := v_job.queued_seconds + extract(epoch FROM v_now - v_job.clock_at);
    END IF;
    v_job.device_seconds := v_job.device_seconds + v_spent;
    v_seconds := jsonb_build_object('queued', v_job.queued_seconds, 'running', v_job.running_seconds, 'device', v_job.device_seconds);
    UPDATE jobs SET queued_seconds = v_job.queued_seconds, running_seconds = v_job.running_seconds, device_seconds = v_job.device_seconds,
        clock_at = v_now, clock_running = EXISTS (SELECT FROM tasks WHERE job_id = v_job.id AND state = 'running'),
        phase = coalesce(v_phase, phase),
        fraction = CASE WHEN v_ends THEN 1 ELSE greatest(fraction, (v_step->>'base')::float8
            + (v_step->>'span')::float8 * CASE WHEN v_total = 0 THEN 0 ELSE v_done::float8 / v_total END) END,
        layers_total = coalesce((p_outcome->>'layers_total')::int, layers_total),
        layers_done = CASE WHEN p_outcome ? 'layers_total' THEN 0 WHEN v_task.kind = 'layer' THEN layers_done + 1 ELSE layers_done END,
        -- A step cannot know the time of its job: the last numbers are the ones that are kept
        points = CASE WHEN v_ends THEN (SELECT jsonb_agg(CASE WHEN point->'metrics' = 'null' THEN point
                ELSE jsonb_set(point, '{metrics,seconds}', v_seconds) END ORDER BY i) FROM jsonb_array_elements(p_outcome->'points') WITH ORDINALITY AS p(point, i))
            ELSE coalesce(p_outcome->'points', points) END,
        metrics = CASE WHEN v_ends THEN jsonb_set(nullif(p_outcome->'metrics', 'null'), '{seconds}', v_seconds) ELSE metrics END,
        verdict = CASE WHEN v_ends THEN nullif(p_outcome->'verdict', 'null') ELSE verdict END,
        status = CASE WHEN v_ends THEN 'succeeded' ELSE status END,
        finished_at = CASE WHEN v_ends THEN v_now END,
        error = CASE WHEN v_ends THEN null ELSE error END
    WHERE id = v_job.id;
    PERFORM sparank_charge(v_job, v_task, v_spent, coalesce((p_outcome->>'artifact_bytes')::bigint, 0));
    -- After the job's own row: their rank comes from it
    INSERT INTO tasks (id, team_id, job_id, kind, layer, point)
    SELECT new->>'id', v_job.team_id, v_job.id, new->>'kind', coalesce((new->>'layer')::int, -1), coalesce((new->>'point')::int, 0)
    FROM jsonb_array_elements(v_next) AS new ON CONFLICT (job_id, kind, layer, point) DO NOTHING;
    IF v_ends THEN
        INSERT INTO charges (team_id, job_seconds) VALUES (v_job.team_id, v_job.device_seconds);
        INSERT INTO events (team_id, job_id, type) VALUES (v_job.team_id, v_job.id, 'job.succeeded');
    ELSIF v_phase <> v_job.phase THEN
        INSERT INTO events (team_id, job_id, type, data) VALUES (v_job.team_id, v_job.id, 'job.phase', jsonb_build_object('phase', v_phase));
    END IF;
    RETURN 'kept';
END $$;
