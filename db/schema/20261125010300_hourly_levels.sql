-- migrate:up
set local role app_owner;
-- By the hour, most users have a call or none: between key and tenant there is no level worth its rows. Nothing asks for a payer by the hour.
delete from data.usage_hourly where level = 'user';
drop index data.usage_hourly_payer_id_idx;
comment on table data.usage_hourly is 'Usage by the hour (UTC) in which it was billed: all of it at the levels key and tenant.';
comment on table data.usage_daily is 'Usage by the day (UTC) on which it was billed: all of it at each of the levels key, user and tenant.';
reset role;

-- migrate:down
set local role app_owner;
create index usage_hourly_payer_id_idx on data.usage_hourly (payer_id, level, hour);
reset role;
