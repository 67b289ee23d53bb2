-- Every statement that changes what a relay must know tells it so: NOTIFY portal_config with the table's name.
-- The sequence numbers the changes, so that an operator sees which state a relay serves (RelayInstance.config_version).
CREATE SEQUENCE gateway_config_version;

CREATE FUNCTION gateway_config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('gateway_config_version');
    PERFORM pg_notify('portal_config', TG_TABLE_NAME);
    RETURN NULL;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'models_catalog_provider', 'models_catalog_aimodel', 'models_catalog_modelaccess', 'models_catalog_upstream',
        'models_catalog_upstreammodel', 'models_catalog_namemapversion', 'models_catalog_namemapentry',
        'billing_pricebook', 'billing_priceversion', 'billing_pricerule', 'billing_groupmultiplier', 'billing_groupbook',
        'accounts_group', 'gateway_oldentry', 'gateway_keyoldentry', 'keys_keysecret'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER gateway_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed()', name
        );
    END LOOP;
END $$;

-- Only the columns a decision depends on: the time of the last use and of the last login change all day long.
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF
    name, owner_id, team_id, state, route, model_names, networks, group_id, auto_group_codes, ignores_channel_pin, expires_at
    ON keys_apikey FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF is_active, state, billing_group_id
    ON accounts_user FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
