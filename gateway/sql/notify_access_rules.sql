-- Price tiers, fences and the policy on teams are part of the configuration a relay serves.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'billing_pricetier', 'billing_modeltier', 'billing_groupfence', 'keys_accesspolicy', 'keys_teampolicy'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER gateway_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed()', name
        );
    END LOOP;
END $$;

-- What a key is for decides which money it may spend.
CREATE TRIGGER gateway_config_purpose AFTER UPDATE OF purpose ON keys_apikey
    FOR EACH STATEMENT EXECUTE FUNCTION gateway_config_changed();
