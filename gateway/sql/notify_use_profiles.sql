-- A use profile is part of what a relay and a data plane know of the keys that follow it.
CREATE TRIGGER gateway_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON keys_useprofile
    FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
CREATE TRIGGER gateway_config_profile AFTER UPDATE OF profile_id ON keys_apikey
    FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();

CREATE FUNCTION gateway_use_profile_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY(SELECT k.id FROM keys_apikey k WHERE k.profile_id = NEW.id));
    RETURN NULL;
END $$;

CREATE FUNCTION gateway_profile_limit_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY(
        SELECT k.id FROM keys_apikey k WHERE k.profile_id = OLD.profile_id OR k.profile_id = NEW.profile_id));
    RETURN NULL;
END $$;

CREATE TRIGGER gateway_key_profile_changed AFTER UPDATE ON keys_apikey FOR EACH ROW
    WHEN (OLD.profile_id IS DISTINCT FROM NEW.profile_id) EXECUTE FUNCTION gateway_key_changed();
CREATE TRIGGER gateway_key_changed AFTER UPDATE ON keys_useprofile FOR EACH ROW
    EXECUTE FUNCTION gateway_use_profile_changed();
CREATE TRIGGER gateway_profile_limit_changed AFTER INSERT OR UPDATE OR DELETE ON keys_calllimit
    FOR EACH ROW EXECUTE FUNCTION gateway_profile_limit_changed();

-- Profiles are no part of a snapshot: what follows them is read with the keys.
CREATE OR REPLACE FUNCTION gateway_config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('gateway_config_version');
    IF TG_TABLE_NAME NOT IN (
        'keys_apikey', 'keys_keysecret', 'accounts_user', 'gateway_keyoldentry', 'keys_calllimit', 'keys_useprofile'
    ) THEN
        PERFORM nextval('gateway_catalogue_version');
    END IF;
    PERFORM pg_notify('portal_config', TG_TABLE_NAME);
    RETURN NULL;
END $$;
