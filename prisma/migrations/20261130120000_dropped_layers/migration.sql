-- A layer that one target leaves out with its branch stays as it is while a task solves it for another one
CREATE OR REPLACE FUNCTION "sparank_claim_task"(p_task text, p_attempt int, p_worker text, p_token text, p_lease_seconds float8) RETURNS json LANGUAGE plpgsql AS $$
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
            WHERE job_id = v_job.id AND index = v_task.layer AND coalesce(row->>'decision', '') NOT IN ('dense', 'dropped');
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
