-- PostgreSQL lets transactions that notify commit one after the other, each with its own write to the disk. Ends of tasks are many:
-- whoever commits one says so in this setting, and notifies afterwards (src/database/connection/announcements.ts)
CREATE OR REPLACE FUNCTION "sparank_notify_tasks"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('sparank.quiet', true) = 'on' THEN
        RETURN NULL;
    END IF;
    IF NEW.state <> 'released' AND NEW.state <> 'running' THEN
        PERFORM pg_notify('sparank', 'tasks');
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION "sparank_notify_job"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('sparank.quiet', true) = 'on' THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify('sparank', NEW.id);
    IF NEW.status = 'canceling' OR (NEW.finished_at IS NOT NULL AND NEW.status <> 'succeeded') THEN
        PERFORM pg_notify('sparank', 'cancel:' || NEW.id);
    END IF;
    RETURN NULL;
END $$;
