-- Which keys changed, for data planes that keep a copy of them (gateway.models_planes.KeyChange). Rows are only added, so
-- writers never wait for each other here; a task removes old ones.

CREATE FUNCTION gateway_note_keys(ids bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO gateway_keychange (key_id, changed_xid, changed_at)
    SELECT DISTINCT i.id, pg_current_xact_id()::text::bigint, clock_timestamp() FROM unnest(ids) i(id) WHERE i.id IS NOT NULL
$$;

CREATE FUNCTION gateway_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY[coalesce(NEW.id, OLD.id)]);
    RETURN NULL;
END $$;

-- A secret or a limit of a key; a limit of a person or a group concerns all their keys.
CREATE FUNCTION gateway_key_part_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY[OLD.key_id, NEW.key_id]);
    RETURN NULL;
END $$;

CREATE FUNCTION gateway_keys_of(persons bigint[], groups bigint[]) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(k.id) FROM keys_apikey k LEFT JOIN accounts_user u ON u.id = k.owner_id
    WHERE k.owner_id = ANY (persons) OR k.member_id = ANY (persons) OR k.team_id = ANY (groups) OR k.group_id = ANY (groups)
       OR u.billing_group_id = ANY (groups)
       OR k.auto_group_codes && ARRAY(SELECT g.code::varchar FROM accounts_group g WHERE g.id = ANY (groups))
$$;

CREATE FUNCTION gateway_call_limit_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY[OLD.key_id, NEW.key_id]);
    IF OLD.user_id IS NOT NULL OR NEW.user_id IS NOT NULL OR OLD.group_id IS NOT NULL OR NEW.group_id IS NOT NULL THEN
        PERFORM gateway_note_keys(gateway_keys_of(ARRAY[OLD.user_id, NEW.user_id], ARRAY[OLD.group_id, NEW.group_id]));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION gateway_person_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_note_keys(gateway_keys_of(ARRAY[NEW.id], '{}'));
    RETURN NULL;
END $$;

CREATE FUNCTION gateway_group_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_note_keys(gateway_keys_of('{}', ARRAY[NEW.id]));
    RETURN NULL;
END $$;

CREATE TRIGGER gateway_key_added AFTER INSERT OR DELETE ON keys_apikey
    FOR EACH ROW EXECUTE FUNCTION gateway_key_changed();
CREATE TRIGGER gateway_key_changed AFTER UPDATE ON keys_apikey FOR EACH ROW
    WHEN ((OLD.name, OLD.owner_id, OLD.team_id, OLD.member_id, OLD.state, OLD.route, OLD.model_names, OLD.networks, OLD.group_id,
           OLD.auto_group_codes, OLD.ignores_channel_pin, OLD.expires_at, OLD.purpose)
        IS DISTINCT FROM (NEW.name, NEW.owner_id, NEW.team_id, NEW.member_id, NEW.state, NEW.route, NEW.model_names, NEW.networks,
           NEW.group_id, NEW.auto_group_codes, NEW.ignores_channel_pin, NEW.expires_at, NEW.purpose))
    EXECUTE FUNCTION gateway_key_changed();
CREATE TRIGGER gateway_key_changed AFTER INSERT OR UPDATE OR DELETE ON keys_keysecret
    FOR EACH ROW EXECUTE FUNCTION gateway_key_part_changed();
CREATE TRIGGER gateway_key_changed AFTER INSERT OR UPDATE OR DELETE ON keys_calllimit
    FOR EACH ROW EXECUTE FUNCTION gateway_call_limit_changed();
CREATE TRIGGER gateway_key_changed AFTER UPDATE ON accounts_user FOR EACH ROW
    WHEN ((OLD.is_active, OLD.state, OLD.billing_group_id) IS DISTINCT FROM (NEW.is_active, NEW.state, NEW.billing_group_id))
    EXECUTE FUNCTION gateway_person_changed();
CREATE TRIGGER gateway_key_changed AFTER UPDATE ON accounts_group FOR EACH ROW
    WHEN ((OLD.code, OLD.is_active, OLD.usable_codes) IS DISTINCT FROM (NEW.code, NEW.is_active, NEW.usable_codes))
    EXECUTE FUNCTION gateway_group_changed();

-- Two numbers: every change, and those of what a snapshot holds. Changes of keys alone need no new snapshot.
CREATE SEQUENCE gateway_catalogue_version;

CREATE OR REPLACE FUNCTION gateway_config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('gateway_config_version');
    IF TG_TABLE_NAME NOT IN ('keys_apikey', 'keys_keysecret', 'accounts_user', 'gateway_keyoldentry', 'keys_calllimit') THEN
        PERFORM nextval('gateway_catalogue_version');
    END IF;
    PERFORM pg_notify('portal_config', TG_TABLE_NAME);
    RETURN NULL;
END $$;
