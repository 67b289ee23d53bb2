-- Limits of calls are part of what a relay knows of a key.
CREATE TRIGGER gateway_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON keys_calllimit FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
