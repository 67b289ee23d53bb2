DROP FUNCTION gateway_config_changed() CASCADE;
DROP SEQUENCE gateway_config_version;
