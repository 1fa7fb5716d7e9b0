-- migrate:up
-- Their signatures grew by the units of 20261122003000.
drop function if exists api.add_provider_rate(text, text, numeric, numeric, text, integer, numeric, numeric, numeric, timestamptz);

-- migrate:down
drop function if exists api.add_provider_rate(text, text, numeric, numeric, text, integer, numeric, numeric, numeric, timestamptz,
  numeric, numeric, numeric, numeric, numeric, numeric, numeric, jsonb);
