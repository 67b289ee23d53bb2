-- Whose a key of a team is decides which member's limits its calls count against.
CREATE TRIGGER gateway_config_member AFTER UPDATE OF member_id ON keys_apikey
    FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
