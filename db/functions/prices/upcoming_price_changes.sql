create or replace function api.upcoming_price_changes()
returns table (valid_from timestamptz, kind text, id text, subject jsonb, old jsonb, new jsonb, created_at timestamptz)
language sql stable security definer
set search_path = ''
as $$
  select r.valid_from, 'provider_rate', r.id::text,
    jsonb_build_object('provider', r.provider, 'model', r.model, 'min_input_tokens', r.min_input_tokens),
    (
      select jsonb_strip_nulls(app.provider_rate_json(before)::jsonb)
      from data.provider_rate before
      where before.provider = r.provider and before.model = r.model and before.min_input_tokens = r.min_input_tokens and before.valid_from < r.valid_from
      order by before.valid_from desc
      limit 1
    ),
    jsonb_strip_nulls(app.provider_rate_json(r)::jsonb), r.created_at
  from data.provider_rate r
  where r.valid_from > app.now()
  union all
  select e.valid_from, 'exchange_rate', e.base || '/' || e.quote, jsonb_build_object('base', e.base, 'quote', e.quote),
    (
      select jsonb_build_object('rate', before.rate::text)
      from data.exchange_rate before
      where before.base = e.base and before.quote = e.quote and before.valid_from < e.valid_from
      order by before.valid_from desc
      limit 1
    ),
    jsonb_build_object('rate', e.rate::text), e.created_at
  from data.exchange_rate e
  where e.valid_from > app.now()
  union all
  select m.valid_from, 'markup_rule', m.id::text, jsonb_build_object('tenant_id', m.tenant_id, 'user_id', m.user_id, 'model', m.model),
    (
      select jsonb_build_object('percent', before.percent::text)
      from data.markup_rule before
      where (before.tenant_id, before.user_id, before.model) is not distinct from (m.tenant_id, m.user_id, m.model) and before.valid_from < m.valid_from
      order by before.valid_from desc
      limit 1
    ),
    jsonb_build_object('percent', m.percent::text), m.created_at
  from data.markup_rule m
  where m.valid_from > app.now()
  order by 1, 2, 3;
$$;
revoke all on function api.upcoming_price_changes() from public;
grant execute on function api.upcoming_price_changes() to platform_admin;
comment on function api.upcoming_price_changes() is
$$Changes of wholesale prices, exchange rates and markups that are scheduled, the next one first.

Returns valid_from, kind (provider_rate, exchange_rate, markup_rule), id, subject (what it is for), old (what is in force until then; null: nothing),
new, created_at. delete_provider_rate and delete_markup_rule take one back; set_exchange_rate for the same valid_from replaces one.$$;
