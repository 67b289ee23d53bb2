-- Creative tasks: begun by the relay before anything is sent, ended together with the money of their call.
-- Lock order: the hold, then the task, then (inside billing_record) the purses.

-- The row of a task that is about to be sent; a repetition changes nothing.
CREATE FUNCTION gateway_task_begin(doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gateway_mediatask
    SELECT (jsonb_populate_record(jsonb_populate_record(NULL::gateway_mediatask, '{"key_name": "", "key_tail": "",
        "group_code": "", "endpoint": "", "asked_model": "", "billed_model": "", "served_model": "", "upstream_name": "",
        "upstream_task_id": "", "parameters": {}, "parameters_hash": "", "reference_count": 0, "callback_url": "",
        "price_multiplier": "", "held_nano": 0, "cost_nano": 0, "progress": 0, "item_count": 0, "delivered_ms": 0,
        "delivered_size": "", "failure_code": "", "failure_reason": "", "doubt": "", "assets": [], "check_count": 0,
        "failed_checks": 0, "decision_note": ""}'), doc || jsonb_build_object('created_at', uuid7_time((doc ->> 'id')::uuid)))).*
    ON CONFLICT (id) DO NOTHING;
END $$;

-- The end of a call whose task this is: same transaction as its charge, whoever reports it (relay, poller, sweeper, another
-- engine). A late report after the sweeper's takes its place, as it does in the log.
CREATE FUNCTION gateway_task_logged() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_good boolean := NEW.outcome = 'ok';
    ended timestamptz := NEW.started_at + NEW.duration_ms * interval '1 ms';
    pieces jsonb := CASE WHEN NEW.modality = 'image' AND NEW.outcome = 'ok'
        THEN jsonb_build_array(jsonb_build_object('variant', 'image', 'count', NEW.image_count, 'kept', false)) ELSE '[]' END;
BEGIN
    UPDATE gateway_mediatask t
    SET state = CASE WHEN is_good THEN 'completed' ELSE 'failed' END,
        cost_nano = NEW.cost_nano, held_nano = GREATEST(t.held_nano, NEW.held_nano), finished_at = ended, next_check_at = NULL,
        progress = CASE WHEN is_good THEN 100 ELSE t.progress END,
        billed_model = NEW.billed_model, served_model = NEW.served_model, price_version_id = NEW.price_version_id,
        item_count = CASE WHEN NOT is_good THEN 0 WHEN t.kind = 'image' THEN NEW.image_count ELSE 1 END,
        delivered_ms = NEW.media_ms,
        delivered_size = coalesce(nullif(t.delivered_size, ''), NEW.media_size),
        assets = CASE WHEN t.kind = 'image' THEN pieces ELSE t.assets END,
        doubt = '',
        failure_code = CASE WHEN is_good THEN '' ELSE coalesce(nullif(t.failure_code, ''), nullif(NEW.error_code, ''), NEW.outcome) END,
        failure_reason = CASE WHEN is_good THEN '' ELSE t.failure_reason END
    WHERE t.id = NEW.id;
    -- Pictures made through another engine have no row yet. What was refused before any cost is no task.
    IF NOT FOUND AND NEW.endpoint LIKE '/v1/images/%' AND (is_good OR NEW.held_nano > 0) THEN
        PERFORM gateway_task_begin(jsonb_build_object('id', NEW.id, 'kind', 'image',
            'state', CASE WHEN is_good THEN 'completed' ELSE 'failed' END,
            'user_id', CASE WHEN k.team_id IS NULL THEN NEW.user_id END, 'team_id', k.team_id, 'key_id', NEW.key_id,
            'key_name', NEW.key_name, 'key_tail', NEW.key_tail, 'group_code', NEW.group_code, 'endpoint', NEW.endpoint,
            'asked_model', NEW.asked_model, 'billed_model', NEW.billed_model, 'served_model', NEW.served_model,
            'parameters', jsonb_strip_nulls(jsonb_build_object('size', nullif(NEW.media_size, ''),
                'quality', nullif(NEW.media_quality, ''))),
            'price_version_id', NEW.price_version_id, 'held_nano', NEW.held_nano, 'cost_nano', NEW.cost_nano,
            'progress', CASE WHEN is_good THEN 100 ELSE 0 END, 'item_count', CASE WHEN is_good THEN NEW.image_count ELSE 0 END,
            'delivered_size', NEW.media_size, 'finished_at', ended, 'assets', pieces,
            'failure_code', CASE WHEN is_good THEN '' ELSE coalesce(nullif(NEW.error_code, ''), NEW.outcome) END))
        FROM (SELECT 1) one LEFT JOIN keys_apikey k ON k.id = NEW.key_id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER gateway_task_logged AFTER INSERT ON billing_requestlog FOR EACH ROW
    WHEN (NEW.origin = 'relay' AND NEW.route = 'new' AND (NEW.endpoint LIKE '/v1/images/%' OR NEW.endpoint = '/v1/videos'))
    EXECUTE FUNCTION gateway_task_logged();

-- What was seen of a video at its provider, or decided about it: kept, and with "event" (a call's end for billing_record) the
-- task is over and paid for in the same transaction. Of many who see the end at once, one does it. Answers: noted, closed (it
-- was over before), ended, refused (the ledger did not take it: the money stays held and the task is in doubt), missing.
CREATE FUNCTION gateway_task_seen(task uuid, seen jsonb, event jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    t gateway_mediatask;
    said record;
BEGIN
    PERFORM 1 FROM billing_hold h WHERE h.id = task FOR NO KEY UPDATE;
    SELECT * INTO t FROM gateway_mediatask x WHERE x.id = task FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'missing';
    ELSIF t.state IN ('completed', 'failed') THEN
        RETURN 'closed';
    END IF;
    t := jsonb_populate_record(t, seen);
    UPDATE gateway_mediatask x
    SET state = CASE WHEN event IS NULL THEN t.state ELSE x.state END, progress = t.progress,
        upstream_id = t.upstream_id, upstream_name = t.upstream_name, upstream_task_id = t.upstream_task_id,
        assets = t.assets, assets_expire_at = t.assets_expire_at, failure_code = t.failure_code,
        failure_reason = t.failure_reason, 
        doubt = CASE WHEN event IS NOT NULL THEN x.doubt WHEN t.state = 'unknown' THEN t.doubt ELSE '' END,
        next_check_at = t.next_check_at, checked_at = t.checked_at,
        check_count = x.check_count + CASE WHEN seen ? 'checked_at' THEN 1 ELSE 0 END, failed_checks = t.failed_checks,
        decided_by_id = t.decided_by_id, decision_note = t.decision_note, served_model = t.served_model, delivered_size = t.delivered_size
    WHERE x.id = task;
    IF event IS NULL THEN
        RETURN 'noted';
    END IF;
    SELECT r.status, r.reason INTO said FROM billing_record(jsonb_build_array(event)) r;
    IF said.status IN ('recorded', 'late') THEN
        RETURN 'ended';
    END IF;
    -- Already in the log without this row knowing, or not taken: somebody has to look.
    UPDATE gateway_mediatask x SET state = 'unknown', doubt = left('not_settled ' || said.status, 64), failure_code = '',
        failure_reason = '', next_check_at = NULL
    WHERE x.id = task;
    RETURN 'refused';
END $$;
