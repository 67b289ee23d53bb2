-- Versions of the billing rules are history: calls point at them.
CREATE TRIGGER outcome_rules_append_only BEFORE UPDATE OR DELETE ON billing_outcomeruleset
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER outcome_rule_append_only BEFORE UPDATE OR DELETE ON billing_outcomerule
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();

-- The first version: what the house does unless somebody decides otherwise.
INSERT INTO billing_outcomeruleset (group_code, number, is_withdrawn, created_at, created_by, note)
VALUES ('', 1, false, now(), 'system', '');
INSERT INTO billing_outcomerule (rules_id, event, reported, counted)
SELECT s.id, e.event, e.action, e.action FROM billing_outcomeruleset s CROSS JOIN (VALUES
    ('complete', 'all'), ('cut_after_output', 'all'), ('timeout_after_output', 'all'), ('client_gone_after_output', 'all'),
    ('client_gone_before_output', 'input'), ('failed_before_output', 'nothing'), ('timeout_before_output', 'nothing'),
    ('refused', 'nothing')) e(event, action);
