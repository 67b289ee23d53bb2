-- One way of ending badly among all of them: few rows, and without this each failed call of the time is looked at.
CREATE INDEX request_log_outcome ON billing_requestlog (outcome, started_at DESC, id DESC) WHERE outcome <> 'ok';
