-- A worker takes a released task. The whole assignment, or null; a repeated call with the same token gets it again. One that
-- drains gets nothing, and the task goes back at once
CREATE OR REPLACE FUNCTION "sparank_claim"(p_task text, p_attempt int, p_worker text, p_token text, p_lease_seconds float8) RETURNS jsonb LANGUAGE plpgsql AS $$
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
    -- Nor must a worker take it that has changed since the task was released to its like
    UPDATE tasks t SET state = 'running', worker_id = p_worker, claim_token = p_token, fraction = 0, started_at = v_now,
        heartbeat_at = v_now, lease_until = v_now + make_interval(secs => p_lease_seconds)
    WHERE t.id = p_task AND t.attempt = p_attempt AND t.state = 'released'
        AND NOT EXISTS (SELECT FROM workers w WHERE w.id = p_worker AND w.draining_since IS NOT NULL)
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
            -- Its message is gone from the queue: the relay is to choose again
            UPDATE tasks SET state = 'waiting', attempt = attempt + 1
            WHERE id = p_task AND attempt = p_attempt AND state = 'released'
                AND EXISTS (SELECT FROM workers w WHERE w.id = p_worker AND w.draining_since IS NOT NULL);
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
