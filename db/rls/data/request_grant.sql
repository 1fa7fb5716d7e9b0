alter table data.request_grant enable row level security;
alter table data.request_grant force row level security;

create policy owner_all on data.request_grant to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.request_grant for select to platform_admin using (true);

grant select on data.request_grant to platform_admin;

create or replace view api.request_grant with (security_invoker = true) as
select id, key_id, user_id, tenant_id, payer_id, model, endpoint, requests, settled_requests, amount::text as amount, tokens, currency,
  created_at, expires_at
from data.request_grant;
grant select on api.request_grant to platform_admin;

comment on view api.request_grant is 'What authorisation holds for calls in flight.';
comment on column api.request_grant.id is 'The grant''s id.';
comment on column api.request_grant.key_id is 'The virtual key it was given to.';
comment on column api.request_grant.user_id is 'The key''s user.';
comment on column api.request_grant.tenant_id is 'The user''s tenant.';
comment on column api.request_grant.payer_id is 'The account whose balance it holds.';
comment on column api.request_grant.model is 'The model it is good for.';
comment on column api.request_grant.endpoint is 'The AI endpoint it was asked for.';
comment on column api.request_grant.requests is 'How many calls it is good for.';
comment on column api.request_grant.settled_requests is 'How many of them have been recorded.';
comment on column api.request_grant.amount is 'What it holds until expires_at, in currency.';
comment on column api.request_grant.tokens is 'Tokens it counts for in the rate limit.';
comment on column api.request_grant.currency is 'ISO 4217 code of the payer''s currency.';
comment on column api.request_grant.created_at is 'When it was given.';
comment on column api.request_grant.expires_at is 'Until when it holds money.';
