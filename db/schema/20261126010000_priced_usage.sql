-- migrate:up
set local role app_owner;

-- Prices meet usage as the gateway's calls have it, no longer as JSON made from them.
drop function if exists app.price_lines(jsonb, jsonb);
drop function if exists app.price_call(jsonb, numeric, jsonb);
reset role;

-- migrate:down
set local role app_owner;
drop function if exists app.price_lines(jsonb, app.usage_event);
drop function if exists app.price_call(jsonb, numeric, app.usage_event);
reset role;
