-- contract: two indexes of tasks go that each change of a task had to keep up; nothing looks for the ends of tasks, and those that run are few
DROP INDEX "tasks_finished_at_idx";
DROP INDEX "tasks_worker_id_idx";

-- In all that follows a task is found by its key or by its job, and then its state is looked at as text: from `state = 'running'` the
-- planner concludes that an index of open tasks will do, and reads all open tasks of the pool for one

-- Quiet transactions do not even call the functions
DROP TRIGGER "jobs_notify" ON "jobs";
CREATE TRIGGER "jobs_notify" AFTER INSERT OR UPDATE ON "jobs" FOR EACH ROW
    WHEN (current_setting('sparank.quiet', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION "sparank_notify_job"();
DROP TRIGGER "tasks_notify_insert" ON "tasks";
CREATE TRIGGER "tasks_notify_insert" AFTER INSERT ON "tasks" FOR EACH ROW
    WHEN (NEW."state" NOT IN ('released', 'running') AND current_setting('sparank.quiet', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION "sparank_notify_tasks"();
DROP TRIGGER "tasks_notify" ON "tasks";
CREATE TRIGGER "tasks_notify" AFTER UPDATE OF "state" ON "tasks" FOR EACH ROW
    WHEN (NEW."state" NOT IN ('released', 'running') AND current_setting('sparank.quiet', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION "sparank_notify_tasks"();
-- Who knows the order of a task already has filled it in: no rank is 0
DROP TRIGGER "tasks_order" ON "tasks";
CREATE TRIGGER "tasks_order" BEFORE INSERT ON "tasks" FOR EACH ROW WHEN (NEW."rank" = 0) EXECUTE FUNCTION "sparank_order_task"();

-- A worker takes a released task. The whole assignment, or null; a repeated call with the same token gets it again. One that
-- drains gets nothing, and the task goes back at once. sparank_claim is for processes of the version before.
CREATE FUNCTION "sparank_claim_task"(p_task text, p_attempt int, p_worker text, p_token text, p_lease_seconds float8) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    v_job jobs;
    v_task tasks;
    v_now timestamptz;
BEGIN
    SELECT j.* INTO v_job FROM jobs j WHERE j.id = (SELECT job_id FROM tasks WHERE id = p_task) FOR NO KEY UPDATE;
    IF NOT FOUND OR v_job.status NOT IN ('queued', 'running') THEN
        RETURN NULL;
    END IF;
    v_now := clock_timestamp();
    -- Nor must a worker take it that has changed since the task was released to its like
    UPDATE tasks t SET state = 'running', worker_id = p_worker, claim_token = p_token, fraction = 0, started_at = v_now,
        heartbeat_at = v_now, lease_until = v_now + make_interval(secs => p_lease_seconds)
    WHERE t.id = p_task AND t.attempt = p_attempt AND t.state::text = 'released'
        AND NOT EXISTS (SELECT FROM workers w WHERE w.id = p_worker AND w.draining_since IS NOT NULL)
        AND (t.needs IS NULL OR EXISTS (SELECT FROM workers w WHERE w.id = p_worker
            AND sparank_can_run(t.needs, w.engine, w.device_memory_bytes, w.class)))
    RETURNING t.* INTO v_task;
    IF FOUND THEN
        -- While its clock runs, another task's start changes nothing of the job
        IF v_job.status = 'queued' OR NOT v_job.clock_running THEN
            IF v_job.status = 'queued' THEN
                INSERT INTO events (team_id, job_id, type, data)
                VALUES (v_job.team_id, v_job.id, 'job.started', jsonb_build_object('worker_id', p_worker));
            END IF;
            v_job.queued_seconds := v_job.queued_seconds + CASE WHEN v_job.clock_running THEN 0 ELSE extract(epoch FROM v_now - v_job.clock_at) END;
            v_job.running_seconds := v_job.running_seconds + CASE WHEN v_job.clock_running THEN extract(epoch FROM v_now - v_job.clock_at) ELSE 0 END;
            v_job.clock_at := v_now;
            UPDATE jobs SET status = 'running', started_at = coalesce(started_at, v_now), queued_seconds = v_job.queued_seconds,
                running_seconds = v_job.running_seconds, clock_running = true, clock_at = v_now
            WHERE id = v_job.id;
        END IF;
        IF v_task.layer >= 0 THEN
            UPDATE layers SET row = row || jsonb_build_object('status', 'running', 'worker_id', p_worker, 'attempt', v_task.attempt)
            WHERE job_id = v_job.id AND index = v_task.layer AND row->>'decision' IS DISTINCT FROM 'dense';
            INSERT INTO events (team_id, job_id, type, data) VALUES (v_job.team_id, v_job.id, 'layer.started',
                jsonb_build_object('layer', v_task.layer, 'worker_id', p_worker, 'attempt', v_task.attempt));
        END IF;
    ELSE
        SELECT * INTO v_task FROM tasks WHERE id = p_task AND attempt = p_attempt AND claim_token = p_token AND state::text = 'running';
        IF NOT FOUND THEN
            -- Its message is gone from the queue: the relay is to choose again
            UPDATE tasks SET state = 'waiting', attempt = attempt + 1
            WHERE id = p_task AND attempt = p_attempt AND state::text = 'released'
                AND EXISTS (SELECT FROM workers w WHERE w.id = p_worker AND w.draining_since IS NOT NULL);
            RETURN NULL;
        END IF;
    END IF;
    -- Text at once: of jsonb it would be made twice
    RETURN json_build_object(
        'taskId', v_task.id, 'jobId', v_job.id, 'teamId', v_job.team_id, 'kind', v_task.kind,
        'layer', nullif(v_task.layer, -1), 'point', nullif(v_task.point, 0), 'attempt', v_task.attempt,
        'spec', v_job.spec, 'inputs', v_job.inputs, 'labels', v_job.labels, 'traceparent', v_job.traceparent,
        'seconds', json_build_object('queued', v_job.queued_seconds, 'device', v_job.device_seconds,
            'running', v_job.running_seconds + greatest(0, extract(epoch FROM clock_timestamp() - v_job.clock_at))),
        -- A layer needs nothing of the other layers, which may be hundreds
        'finished', (SELECT coalesce(json_agg(json_build_object('kind', t.kind, 'layer', nullif(t.layer, -1),
                'point', nullif(t.point, 0), 'result', t.result, 'files', t.files, 'peakBytes', t.peak_bytes)
                ORDER BY t.created_at, t.layer, t.point), '[]')
            FROM tasks t WHERE t.job_id = v_job.id AND t.state = 'succeeded' AND (v_task.kind <> 'layer' OR t.kind IN ('inspect', 'plan'))));
END $$;

-- The result of a running task, with everything that follows from it. `p_outcome` is made by src/database/tasks/consequences.ts.
-- kept; repeated: it was kept by an earlier call; refused: another attempt has the task; stopping: its job is to end; held: tasks of the
-- job wait for a step that is made again, and the caller did not know. sparank_succeed is for processes of the version before.
CREATE FUNCTION "sparank_succeed_task"(p_task text, p_attempt int, p_outcome jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_job jobs;
    v_task record;
    v_others record;
    v_now timestamptz;
    v_spent float8;
    v_rank float8;
    v_step jsonb;
    v_seconds jsonb;
    v_ends boolean := coalesce((p_outcome->>'ends')::boolean, false);
    v_next jsonb := '[]';
    v_done int;
    v_total int;
    v_phase text;
BEGIN
    SELECT j.* INTO v_job FROM jobs j WHERE j.id = (SELECT job_id FROM tasks WHERE id = p_task) FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'refused';
    END IF;
    SELECT kind, layer, state, attempt = p_attempt AS ours, lane INTO v_task FROM tasks WHERE id = p_task;
    IF NOT FOUND OR NOT v_task.ours OR v_task.state <> 'running' THEN
        RETURN CASE WHEN v_task.ours AND v_task.state = 'succeeded' THEN 'repeated' ELSE 'refused' END;
    END IF;
    IF v_job.status <> 'running' THEN
        RETURN 'stopping';
    END IF;
    SELECT count(*) FILTER (WHERE kind = v_task.kind AND state <> 'succeeded') AS open,
        count(*) FILTER (WHERE kind = v_task.kind AND state = 'succeeded') AS done,
        count(*) FILTER (WHERE kind = p_outcome->'next'->0->>'kind') AS next,
        count(*) FILTER (WHERE kind = p_outcome->'next'->0->>'kind' AND state = 'succeeded') AS next_done,
        count(*) FILTER (WHERE state = 'running') AS running,
        count(*) FILTER (WHERE state = 'canceled') AS held
    INTO v_others FROM tasks WHERE job_id = v_job.id AND id <> p_task;
    IF v_others.held > 0 AND NOT coalesce((p_outcome->>'holds')::boolean, false) THEN
        RETURN 'held';
    END IF;
    v_now := clock_timestamp();
    UPDATE tasks SET state = 'succeeded', finished_at = v_now, fraction = 1, error = null, result = p_outcome->'result',
        files = p_outcome->'files', peak_bytes = (p_outcome->>'peak_bytes')::bigint,
        device_seconds = device_seconds + coalesce(greatest(0, extract(epoch FROM v_now - started_at)), 0)
    WHERE id = p_task AND attempt = p_attempt AND state::text = 'running'
    RETURNING coalesce(greatest(0, extract(epoch FROM v_now - started_at)), 0) INTO v_spent;
    IF NOT FOUND THEN
        RETURN 'refused';
    END IF;
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
        IF v_others.running > 0 THEN
            PERFORM sparank_count_device_time(id, v_now) FROM tasks WHERE job_id = v_job.id AND state::text = 'running';
            SELECT device_seconds INTO v_job.device_seconds FROM jobs WHERE id = v_job.id;
        END IF;
        UPDATE tasks SET state = 'canceled', finished_at = v_now
        WHERE job_id = v_job.id AND state::text IN ('waiting', 'released', 'running');
    ELSIF v_others.open > 0 THEN
        v_step := p_outcome->'own';
        v_done := v_others.done + 1;
        v_total := v_others.open + v_done;
    ELSE
        v_next := p_outcome->'next';
        v_step := p_outcome->'then';
        v_done := v_others.next_done;
        v_total := greatest(v_others.next, jsonb_array_length(v_next));
    END IF;
    v_phase := v_step->>'phase';
    IF v_job.clock_running THEN
        v_job.running_seconds := v_job.running_seconds + extract(epoch FROM v_now - v_job.clock_at);
    ELSE
        v_job.queued_seconds := v_job.queued_seconds + extract(epoch FROM v_now - v_job.clock_at);
    END IF;
    v_job.device_seconds := v_job.device_seconds + v_spent;
    IF v_ends THEN
        v_seconds := jsonb_build_object('queued', v_job.queued_seconds, 'running', v_job.running_seconds, 'device', v_job.device_seconds);
        -- A step cannot know the time of its job: the last numbers are the ones that are kept
        UPDATE jobs SET queued_seconds = v_job.queued_seconds, running_seconds = v_job.running_seconds, device_seconds = v_job.device_seconds,
            clock_at = v_now, clock_running = false, fraction = 1, status = 'succeeded', finished_at = v_now, error = null,
            points = (SELECT jsonb_agg(CASE WHEN point->'metrics' = 'null' THEN point
                    ELSE jsonb_set(point, '{metrics,seconds}', v_seconds) END ORDER BY i) FROM jsonb_array_elements(p_outcome->'points') WITH ORDINALITY AS p(point, i)),
            metrics = jsonb_set(nullif(p_outcome->'metrics', 'null'), '{seconds}', v_seconds),
            verdict = nullif(p_outcome->'verdict', 'null')
        WHERE id = v_job.id;
    ELSE
        UPDATE jobs SET queued_seconds = v_job.queued_seconds, running_seconds = v_job.running_seconds, device_seconds = v_job.device_seconds,
            clock_at = v_now, clock_running = v_others.running > 0, phase = coalesce(v_phase, phase), finished_at = null,
            fraction = greatest(fraction, (v_step->>'base')::float8
                + (v_step->>'span')::float8 * CASE WHEN v_total = 0 THEN 0 ELSE v_done::float8 / v_total END),
            layers_total = coalesce((p_outcome->>'layers_total')::int, layers_total),
            layers_done = CASE WHEN p_outcome ? 'layers_total' THEN 0 WHEN v_task.kind = 'layer' THEN layers_done + 1 ELSE layers_done END,
            points = coalesce(p_outcome->'points', points)
        WHERE id = v_job.id;
    END IF;
    -- A job that has used much lets younger ones of its team pass (sparank_rank)
    v_rank := sparank_rank(v_job.created_at, v_job.device_seconds);
    IF v_rank <> sparank_rank(v_job.created_at, v_job.device_seconds - v_spent) THEN
        UPDATE tasks SET rank = v_rank WHERE job_id = v_job.id AND state::text = 'waiting' AND rank <> v_rank;
    END IF;
    INSERT INTO charges (team_id, lane, task_seconds) VALUES (v_job.team_id, v_task.lane, v_spent);
    INSERT INTO usage AS u (team_id, day, job_id, labels, tasks, device_seconds, artifact_bytes)
    VALUES (v_job.team_id, (clock_timestamp() AT TIME ZONE 'UTC')::date, v_job.id, v_job.labels, 1, v_spent,
        coalesce((p_outcome->>'artifact_bytes')::bigint, 0))
    ON CONFLICT (team_id, day, job_id) DO UPDATE SET tasks = u.tasks + 1, device_seconds = u.device_seconds + excluded.device_seconds,
        artifact_bytes = u.artifact_bytes + excluded.artifact_bytes;
    IF v_next <> '[]' THEN
        INSERT INTO tasks (id, team_id, job_id, kind, layer, point, priority, rank, needs)
        SELECT new->>'id', v_job.team_id, v_job.id, new->>'kind', coalesce((new->>'layer')::int, -1), coalesce((new->>'point')::int, 0),
            v_job.priority, v_rank, v_job.needs
        FROM jsonb_array_elements(v_next) AS new ON CONFLICT (job_id, kind, layer, point) DO NOTHING;
    END IF;
    IF v_ends THEN
        INSERT INTO charges (team_id, job_seconds) VALUES (v_job.team_id, v_job.device_seconds);
        INSERT INTO events (team_id, job_id, type) VALUES (v_job.team_id, v_job.id, 'job.succeeded');
    ELSIF v_phase <> v_job.phase THEN
        INSERT INTO events (team_id, job_id, type, data) VALUES (v_job.team_id, v_job.id, 'job.phase', jsonb_build_object('phase', v_phase));
    END IF;
    RETURN 'kept';
END $$;
