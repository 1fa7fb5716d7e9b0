create or replace function api.my_usage(since timestamptz default null, until timestamptz default null) returns json
language sql stable
set search_path = ''
as $$
  with period as (
    select coalesce(my_usage.since, date_trunc('month', app.now(), 'UTC')) as since, coalesce(my_usage.until, 'infinity') as until
  ), archived as (
    select m.month from period, app.archived_months(period.since, period.until) m (month)
  ), usage as (
    select u.model, u.currency, sum(u.calls) as calls, sum(u.errors) as errors, sum(u.input_tokens) as input_tokens,
      sum(u.output_tokens) as output_tokens, sum(u.charge) as charge
    from (
      select l.model, l.currency, count(*) as calls, count(*) filter (where l.status = 'error') as errors,
        sum(l.input_tokens) as input_tokens, sum(l.output_tokens) as output_tokens, sum(l.charge) as charge
      from data.usage_log l, period
      where l.user_id = (select app.current_user_id()) and l.created_at >= period.since and l.created_at < period.until
      group by l.model, l.currency
      union all
      select a.model, a.currency, a.calls, a.errors, a.input_tokens, a.output_tokens, a.charge
      from data.usage_archive_sum a
      where a.user_id = (select app.current_user_id()) and a.month = any (array(select m.month from archived m))
    ) u
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
    'archived_months', (select coalesce(json_agg(to_char(m.month, 'YYYY-MM') order by m.month), '[]') from archived m),
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
Returns {since, until, calls, errors, input_tokens, output_tokens, charge, currency, archived_months, models}; charge in the account's currency.
archived_months: those of which only sums are left; they are in the figures. Errors: usage_archived when the period has a part of one.
The calls one by one are in /usage_log.$$;
