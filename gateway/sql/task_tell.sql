-- The end of a task is told to whoever asked to be told: to the address given with it, else, of a video, to the web hooks of its
-- payer. A picture comes with its answer, so only who gave an address with the request is told of it.
CREATE OR REPLACE FUNCTION gateway_task_tell() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    event_id uuid := md5(NEW.id::text || ':' || NEW.state)::uuid;
    public_id text := NEW.kind || '_' || replace(NEW.id::text, '-', '');
BEGIN
    INSERT INTO billing_hookdelivery (id, endpoint_id, sent_id, kind, subject_id, url, body, state, attempts, created_at,
        next_attempt_at)
    SELECT gen_random_uuid(), e.id, event_id, NEW.kind || '.' || NEW.state, NEW.id, NEW.callback_url,
        jsonb_build_object('id', replace(event_id::text, '-', ''), 'object', 'event', 'type', NEW.kind || '.' || NEW.state,
            'created_at', extract(epoch FROM NEW.finished_at)::bigint,
            'data', jsonb_build_object('id', public_id, 'status', NEW.state, 'model', NEW.asked_model,
                'cost_usd', trim_scale(NEW.cost_nano / 1000000000::numeric)::text, 'progress', NEW.progress,
                'size', NEW.delivered_size)
                || CASE NEW.kind WHEN 'image' THEN jsonb_build_object('count', NEW.item_count)
                    ELSE jsonb_build_object('seconds', trim_scale(NEW.delivered_ms / 1000::numeric)::text) END
                || jsonb_build_object('error', CASE WHEN NEW.state = 'failed' THEN jsonb_build_object('code', NEW.failure_code,
                    'message', NEW.failure_reason) END))::text,
        'queued', 0, clock_timestamp(), clock_timestamp()
    FROM billing_hookendpoint e
    WHERE e.purpose = 'tasks' AND e.is_active AND (e.user_id = NEW.user_id OR e.group_id = NEW.team_id)
      AND (NEW.callback_url = '' OR e.id = (SELECT min(f.id) FROM billing_hookendpoint f
          WHERE f.purpose = 'tasks' AND f.is_active AND (f.user_id = NEW.user_id OR f.group_id = NEW.team_id)))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS gateway_task_tell ON gateway_mediatask;
CREATE TRIGGER gateway_task_tell AFTER UPDATE OF state ON gateway_mediatask FOR EACH ROW
    WHEN ((NEW.kind = 'video' OR NEW.callback_url <> '') AND NEW.state IN ('completed', 'failed') AND OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION gateway_task_tell();
