-- Calls that ended badly are few: small indexes find the last ones of a key, of a person and of a status, or that there are none.
CREATE INDEX request_log_key_failed ON billing_requestlog (key_id, started_at DESC, id DESC) WHERE outcome <> 'ok';
CREATE INDEX request_log_user_failed ON billing_requestlog (user_id, started_at DESC, id DESC) WHERE outcome <> 'ok';
CREATE INDEX request_log_status ON billing_requestlog (http_status, started_at DESC, id DESC) WHERE http_status <> 200;
