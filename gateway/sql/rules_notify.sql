-- Fallback rules and shapes of errors are part of what a relay knows: a change reaches it within a second.
CREATE TRIGGER gateway_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON gateway_fallbackrule FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON gateway_errorprofile FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
