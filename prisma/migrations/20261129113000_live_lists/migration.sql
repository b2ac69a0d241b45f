-- When a job last changed: lists of what changed, and the live streams of teams
ALTER TABLE "jobs" ADD COLUMN "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE OR REPLACE FUNCTION "sparank_count_version"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

-- Who follows a team listens for `team:<id>`
CREATE OR REPLACE FUNCTION "sparank_notify_job"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('sparank.quiet', true) = 'on' THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify('sparank', NEW.id);
    PERFORM pg_notify('sparank', 'team:' || NEW.team_id);
    IF NEW.status = 'canceling' OR (NEW.finished_at IS NOT NULL AND NEW.status <> 'succeeded') THEN
        PERFORM pg_notify('sparank', 'cancel:' || NEW.id);
    END IF;
    RETURN NULL;
END $$;

-- A row that is gone tells nobody of it: the name of the job is behind the topic
CREATE FUNCTION "sparank_notify_removed_job"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sparank', 'removed:' || OLD.team_id || ' ' || OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER "jobs_notify_removed" AFTER DELETE ON "jobs" FOR EACH ROW EXECUTE FUNCTION "sparank_notify_removed_job"();

-- What API processes remember of keys
CREATE FUNCTION "sparank_notify_keys"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sparank', 'keys');
    RETURN NULL;
END $$;
CREATE TRIGGER "api_keys_notify" AFTER DELETE OR UPDATE OF "revoked_at", "expires_at", "scopes" ON "api_keys" FOR EACH STATEMENT EXECUTE FUNCTION "sparank_notify_keys"();
CREATE TRIGGER "teams_notify_keys" AFTER UPDATE OF "requests_per_minute" ON "teams" FOR EACH STATEMENT EXECUTE FUNCTION "sparank_notify_keys"();
