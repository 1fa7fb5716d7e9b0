create or replace function api.my_usage(since timestamptz default null, until timestamptz default null) returns json
language plpgsql stable security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_user_id constant uuid := app.current_user_id();
  v_since constant timestamptz := coalesce(my_usage.since, date_trunc('month', app.now(), 'UTC'));
  v_until constant timestamptz := coalesce(my_usage.until, 'infinity');
  -- The whole hours of the period; what lies before and after them is read call by call.
  v_hours_since constant timestamptz := least(v_until, date_trunc('hour', v_since + interval '1 hour' - interval '1 microsecond', 'UTC'));
  v_hours_until constant timestamptz := greatest(v_hours_since, date_trunc('hour', v_until, 'UTC'));
  v_longest_wait constant interval := make_interval(hours => app.setting('grant_retention_hours')::integer + 2,
    secs => app.setting('request_timeout_ms')::integer / 1000 + app.setting('grant_margin_seconds')::integer);
begin
  if exists (
    select from data.usage_archive a
    cross join (values (v_since, v_hours_since), (v_hours_until, v_until)) edge (since, until)
    where a.status = 'archived' and edge.since < edge.until
      and (a.month::timestamp + interval '1 month') at time zone 'UTC' > edge.since - v_longest_wait and a.month::timestamp at time zone 'UTC' < edge.until + interval '1 day')
  then
    perform app.raise_error('usage_archived', 'Of archived months (/usage_archive) only whole hours can be summed up.');
  end if;
  return (
    with part as (
      select s.model, s.calls, s.errors, s.input_tokens, s.output_tokens, s.charge
      from app.sum_usage('{model}', v_hours_since, v_hours_until, user_id => v_user_id) s
      union all
      select l.model, 1, (l.status = 'error')::integer, l.input_tokens, l.output_tokens, l.charge
      from (values (v_since, v_hours_since), (v_hours_until, v_until)) edge (since, until)
      -- A call arrives before it is billed, at most as long as grants wait for their usage; a proxy's clock may be ahead.
      join data.usage_log l on l.user_id = v_user_id and l.created_at >= edge.since - v_longest_wait and l.created_at < edge.until + interval '1 day'
      where l.recorded_at >= edge.since and l.recorded_at < edge.until
    ), usage as (
      select p.model, sum(p.calls) as calls, sum(p.errors) as errors, sum(p.input_tokens) as input_tokens, sum(p.output_tokens) as output_tokens,
        sum(p.charge)::numeric(30, 10) as charge
      from part p
      group by p.model
    )
    select json_build_object(
      'since', v_since,
      'until', my_usage.until,
      'calls', coalesce(sum(u.calls), 0),
      'errors', coalesce(sum(u.errors), 0),
      'input_tokens', coalesce(sum(u.input_tokens), 0),
      'output_tokens', coalesce(sum(u.output_tokens), 0),
      'charge', coalesce(sum(u.charge), 0::numeric(30, 10))::text,
      'currency', (select t.currency from data.tenant t where t.id = app.current_tenant_id()),
      'archived_months', (
        select coalesce(json_agg(to_char(a.month, 'YYYY-MM') order by a.month), '[]')
        from data.usage_archive a
        where a.status = 'archived' and (a.month::timestamp + interval '1 month') at time zone 'UTC' > v_since and a.month::timestamp at time zone 'UTC' < v_until),
      'models', coalesce(json_agg(json_build_object('model', u.model, 'calls', u.calls, 'errors', u.errors,
        'input_tokens', u.input_tokens, 'output_tokens', u.output_tokens, 'charge', u.charge::text) order by u.charge desc, u.model)
        filter (where u.model is not null), '[]'))
    from usage u);
end
$$;
revoke all on function api.my_usage(timestamptz, timestamptz) from public;
grant execute on function api.my_usage(timestamptz, timestamptz) to customer, tenant_admin, platform_admin;
comment on function api.my_usage(timestamptz, timestamptz) is
$$What the caller used and was charged in a period, in all and by model, exact to the last settled call.

since: begin, default the first of this month (UTC). until: end, exclusive, default open. By the time calls were billed, as in the ledger.
Returns {since, until, calls, errors, input_tokens, output_tokens, charge, currency, archived_months, models}; charge in the account's currency.
archived_months: those of which only sums are left; they are in the figures. Errors: usage_archived when the period begins or ends with a part of an
hour near one.
The calls one by one are in /usage_log.$$;
