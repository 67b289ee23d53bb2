DROP TRIGGER gateway_config ON billing_pricetier;
DROP TRIGGER gateway_config ON billing_modeltier;
DROP TRIGGER gateway_config ON billing_groupfence;
DROP TRIGGER gateway_config ON keys_accesspolicy;
DROP TRIGGER gateway_config ON keys_teampolicy;
DROP TRIGGER gateway_config_purpose ON keys_apikey;
