-- migrate:up
set local role app_owner;

alter table data.request_grant
  add column usable_until timestamptz not null default now(),
  add column grace_requests integer not null default 0 check (grace_requests >= 0);
comment on column data.request_grant.requests is 'How many calls it is good for, those of the grace among them.';
comment on column data.request_grant.grace_requests is 'Of these: only for while the database cannot be reached.';
comment on column data.request_grant.usable_until is 'Until when calls may begin under it.';
create index request_grant_key_id_usable_until_idx on data.request_grant (key_id, usable_until);
create index request_grant_held_by_key_idx on data.request_grant (key_id, expires_at) where amount > 0;
drop index data.request_grant_key_id_idx;

-- The owner passes row level security only while it is not forced.
alter table data.setting no force row level security;
insert into data.setting (name, value, description) values
  ('lease_seconds', '3', 'How long the calls of a lease may be begun, in seconds.'),
  ('lease_max_requests', '256', 'Most calls of one lease. 1: every call is authorised on its own.'),
  ('lease_grace_seconds', '60', 'How much longer calls may begin under a lease while the database cannot be reached, in seconds. 0: not at all.'),
  ('lease_grace_requests', '1000', 'Most calls of a lease that may begin in that time.');
alter table data.setting force row level security;

drop function if exists api.authorize_request(text, text, text, bigint, bigint, integer, text, jsonb);
drop function if exists app.check_balance(data.user_profile, numeric, boolean, timestamptz);
drop function if exists app.check_key_budget(data.virtual_key, numeric, boolean, timestamptz);
drop function if exists app.check_rate_limits(data.virtual_key, bigint, timestamptz);
reset role;

-- migrate:down
create index request_grant_key_id_idx on data.request_grant (key_id, created_at);
drop index data.request_grant_key_id_usable_until_idx;
drop index data.request_grant_held_by_key_idx;
alter table data.request_grant drop column usable_until, drop column grace_requests;
delete from data.setting where name like 'lease\_%';
