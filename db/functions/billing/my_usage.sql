create or replace function api.my_usage(since timestamptz default null, until timestamptz default null) returns json
language sql stable
set search_path = ''
as $$
  with period as (
    select coalesce(my_usage.since, date_trunc('month', app.now(), 'UTC')) as since, coalesce(my_usage.until, 'infinity') as until
  ), usage as (
    select u.model, u.currency, count(*) as calls, count(*) filter (where u.status = 'error') as errors,
      sum(u.input_tokens) as input_tokens, sum(u.output_tokens) as output_tokens, sum(u.charge) as charge
    from data.usage_log u, period
    where u.user_id = (select app.current_user_id()) and u.created_at >= period.since and u.created_at < period.until
    group by u.model, u.currency
  )
  select json_build_object(
    'since', (select since from period),
    'until', my_usage.until,
    'calls', coalesce(sum(u.calls), 0),
    'errors', coalesce(sum(u.errors), 0),
    'input_tokens', coalesce(sum(u.input_tokens), 0),
    'output_tokens', coalesce(sum(u.output_tokens), 0),
    'charge', coalesce(sum(u.charge), 0::numeric(20, 10))::text,
    'currency', (select t.currency from data.tenant t where t.id = (select app.current_tenant_id())),
    'models', coalesce(json_agg(json_build_object('model', u.model, 'calls', u.calls, 'errors', u.errors,
      'input_tokens', u.input_tokens, 'output_tokens', u.output_tokens, 'charge', u.charge::text) order by u.charge desc, u.model)
      filter (where u.model is not null), '[]'))
  from usage u;
$$;
revoke all on function api.my_usage(timestamptz, timestamptz) from public;
grant execute on function api.my_usage(timestamptz, timestamptz) to customer, tenant_admin, platform_admin;
comment on function api.my_usage(timestamptz, timestamptz) is
$$What the caller used and was charged in a period, in all and by model.

since: begin, default the first of this month (UTC). until: end, exclusive, default open.
Returns {since, until, calls, errors, input_tokens, output_tokens, charge, currency, models}; charge in the account's currency.
The calls one by one are in /usage_log.$$;
