-- A change of the billing rules per outcome reaches every relay as a change of prices does.
CREATE TRIGGER gateway_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON billing_outcomeruleset
    FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON billing_outcomerule
    FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
