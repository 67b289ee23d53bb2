-- What moved a purse besides calls: few rows among millions, found without walking past the calls. Charges are not in it,
-- so that calls pay nothing for it.
CREATE INDEX entry_from_no_call ON billing_ledgerentry (from_account_id, id DESC) WHERE kind <> 'charge';
CREATE INDEX entry_to_no_call ON billing_ledgerentry (to_account_id, id DESC) WHERE kind <> 'charge';
