create or replace function api.record_usage(events jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
-- Planning costs more than running here.
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz;
  v_closed_before timestamptz := '-infinity';
  v_charges_empty_failures boolean := app.setting('charge_empty_failures')::boolean;
  v_events app.usage_event[] := app.parse_usage_events(record_usage.events);
  v_grants uuid[];
  v_first_call_at timestamptz;
  v_last_call_at timestamptz;
  v_payers uuid[];
  v_keys uuid[];
  v_payer record;
  v_bills jsonb;
  v_new_requests uuid[];
  v_used_up_keys uuid[];
  v_has_members boolean;
  v_member_charges jsonb;
  v_used_up_members uuid[];
  v_key_notices jsonb;
  v_notice record;
  v_has_failures boolean;
begin
  -- Arrays and lateral joins with a limit keep every look-up on its index, whatever the planner believes about the size of a batch.
  select coalesce(array_agg(distinct e.grant_id), '{}'), min(e.created_at), max(e.created_at) into v_grants, v_first_call_at, v_last_call_at
  from unnest(v_events) e;
  select coalesce(array_agg(distinct g.payer_id), '{}'), coalesce(array_agg(distinct g.key_id), '{}') into v_payers, v_keys
  from data.request_grant g
  where g.id = any (v_grants);
  -- Lock order: accounts by id, then keys by id, then grants: see docs/lock-order.md.
  perform from data.user_profile p where p.user_id = any (v_payers) order by p.user_id for no key update;
  perform from data.virtual_key k where k.id = any (v_keys) order by k.id for no key update;
  perform from data.member_limit m
  where m.user_id = any (array(select k.user_id from data.virtual_key k where k.id = any (v_keys)))
  order by m.user_id for no key update;
  v_has_members := found;
  v_now := app.now();
  -- What has been archived would not be found again. A month is frozen days after its end, so that calls of today need not ask.
  if v_first_call_at < v_now - interval '12 hours' then
    select coalesce((max(a.month) + interval '1 month') at time zone 'UTC', '-infinity') into strict v_closed_before from data.usage_archive a;
  end if;

  with event as materialized (
    -- The same call may stand in a batch more than once.
    select distinct on (e.request_id) e.*
    from unnest(v_events) e
    order by e.request_id, e.ordinality
  ), new_event as materialized (
    select e.*, g.key_id, g.user_id, g.tenant_id, g.payer_id, g.model, g.endpoint, g.currency,
      target.value ->> 'provider' as provider, target.value ->> 'upstream_model' as upstream_model,
      (target.value ->> 'markup_percent')::numeric as markup_percent,
      price.rate_id, coalesce(price.cost, 0) as cost, price.cost_currency, price.exchange_rate, coalesce(price.charge, 0) as charge,
      coalesce(price.is_substituted, false) as price_substituted
    from event e
    cross join lateral (select r.* from data.request_grant r where r.id = e.grant_id limit 1) g
    -- A call that no provider answered has no target and costs nothing.
    left join lateral (
      -- An index that the grant does not know must not make the call free.
      select coalesce(g.targets -> e.target_index, g.targets -> 0) as value where e.status <> 'error'
    ) target on true
    left join lateral app.price_call(target.value -> 'rates', (target.value ->> 'markup_percent')::numeric, to_jsonb(e)) price
      on v_charges_empty_failures or e.status <> 'interrupted' or e.output_tokens > 0 or e.images > 0 or e.seconds > 0
    where e.created_at >= v_closed_before and (
      select u.request_id from data.usage_log u
      where u.created_at = e.created_at and u.request_id = e.request_id
        -- Leaves out the partitions of other months before the query begins.
        and u.created_at between v_first_call_at and v_last_call_at
      limit 1) is null
  ), bill as materialized (
    select n.payer_id, sum(n.charge) as amount, uuidv7() as ledger_entry_id
    from new_event n
    group by n.payer_id
    having sum(n.charge) > 0
  ), paid as (
    update data.user_profile p
    set balance = p.balance - b.amount
    from bill b
    where p.user_id = b.payer_id
    returning p.user_id, p.tenant_id, p.balance
  ), booked as (
    insert into data.ledger_entry (id, user_id, tenant_id, kind, amount, balance_after, currency, reference, created_at)
    select b.ledger_entry_id, b.payer_id, paid.tenant_id, 'usage', -b.amount, paid.balance,
      (select min(n.currency) from new_event n where n.payer_id = b.payer_id), 'usage ' || b.ledger_entry_id, v_now
    from bill b
    join paid on paid.user_id = b.payer_id
  ), logged as (
    insert into data.usage_log (request_id, created_at, user_id, tenant_id, payer_id, key_id, grant_id, endpoint, model, provider,
      upstream_model, model_served, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
      cache_write_1h_tokens, audio_input_tokens, image_input_tokens, audio_output_tokens, image_output_tokens, images, image_size,
      image_quality, characters, seconds, price_substituted, rate_id, cost, cost_currency, exchange_rate, markup_percent, charge, currency, ledger_entry_id, status, http_status, error_code,
      estimated, streamed, latency_ms, time_to_first_token_ms, recorded_at)
    select n.request_id, n.created_at, n.user_id, n.tenant_id, n.payer_id, n.key_id, n.grant_id, n.endpoint, n.model, n.provider,
      n.upstream_model, n.model_served, n.input_tokens, n.cached_input_tokens, n.cache_write_tokens, n.output_tokens,
      n.reasoning_tokens, n.cache_write_1h_tokens, n.audio_input_tokens, n.image_input_tokens, n.audio_output_tokens,
      n.image_output_tokens, n.images, n.image_size, n.image_quality, n.characters, n.seconds, n.price_substituted, n.rate_id, n.cost, n.cost_currency, n.exchange_rate, n.markup_percent, n.charge, n.currency,
      case when n.charge > 0 then b.ledger_entry_id end, n.status, n.http_status, n.error_code,
      n.estimated, n.streamed, n.latency_ms, n.time_to_first_token_ms, v_now
    from new_event n
    left join bill b on b.payer_id = n.payer_id
  ), released as (
    update data.request_grant g
    set settled_requests = least(g.requests, g.settled_requests + s.requests),
      amount = case when g.settled_requests + s.requests >= g.requests then 0 else g.amount - s.requests * g.amount_per_request end,
      -- Calls beyond those that were granted have no estimate to take back.
      tokens = greatest(0, g.tokens - least(s.requests, g.requests - g.settled_requests) * g.tokens_per_request + s.tokens)
    from (
      select n.grant_id, count(*)::integer as requests, sum(n.input_tokens + n.output_tokens) as tokens
      from new_event n
      group by n.grant_id
    ) s
    where g.id = s.grant_id
  ), spent as (
    update data.virtual_key k
    set last_used_at = greatest(k.last_used_at, s.last_used_at),
      budget_period_start = app.budget_period_start(k.budget_period, v_now),
      budget_spent = s.charge + case
        when k.budget_period_start is not distinct from app.budget_period_start(k.budget_period, v_now) then k.budget_spent
        else 0 end
    from (
      select n.key_id, max(n.created_at) as last_used_at, sum(n.charge) as charge
      from new_event n
      group by n.key_id
    ) s
    where k.id = s.key_id
    returning k.id, k.budget <= k.budget_spent as is_budget_used_up,
      -- What was just crossed: what was spent in the period before is what is spent now less these charges.
      case
        when k.budget_spent >= k.budget and k.budget_spent - s.charge < k.budget then 'key.budget_exhausted'
        when k.budget_spent >= k.budget * 0.8 and k.budget_spent - s.charge < k.budget * 0.8 then 'key.budget_warning'
      end as notice
  )
  select
    (select jsonb_object_agg(b.payer_id, b.amount) from bill b),
    (select array_agg(n.request_id) from new_event n),
    (select array_agg(s.id) from spent s where s.is_budget_used_up),
    case when v_has_members then (
      select jsonb_object_agg(m.user_id, m.charge) from (select n.user_id, sum(n.charge) as charge from new_event n group by n.user_id) m) end,
    (select jsonb_object_agg(s.id, s.notice) from spent s where s.notice is not null),
    (select bool_or(n.error_code is not null or n.target_index > 0) from new_event n)
  into v_bills, v_new_requests, v_used_up_keys, v_member_charges, v_key_notices, v_has_failures;

  if v_member_charges is not null then
    with spent as (
      update data.member_limit m
      set budget_period_start = app.budget_period_start(s.budget_period, v_now),
        budget_spent = s.charge + app.spent_at(m.budget_spent, s.budget_period, m.budget_period_start, v_now)
      from (
        select l.user_id, coalesce(l.budget, t.member_budget) as budget,
          case when l.budget is not null then l.budget_period else t.member_budget_period end as budget_period,
          n.value::numeric as charge
        from jsonb_each_text(v_member_charges) n
        join data.member_limit l on l.user_id = n.key::uuid
        join data.tenant t on t.id = l.tenant_id
      ) s
      where m.user_id = s.user_id
      returning m.user_id, s.budget <= m.budget_spent as is_budget_used_up
    )
    select array_agg(s.user_id) into v_used_up_members from spent s where s.is_budget_used_up;
  end if;

  for v_payer in
    select p.user_id, p.balance, p.low_balance_threshold, p.status, app.status_for_balance(p) as new_status,
      p.balance + (v_bills ->> p.user_id::text)::numeric as balance_before
    from data.user_profile p
    where p.user_id = any (array(select jsonb_object_keys(v_bills)::uuid))
    order by p.user_id
  loop
    if v_payer.new_status <> v_payer.status then
      perform app.change_status(v_payer.user_id, v_payer.new_status, 'The balance is used up.');
    elsif v_payer.balance <= v_payer.low_balance_threshold and v_payer.balance_before > v_payer.low_balance_threshold then
      perform app.queue_notification(v_payer.user_id, 'account.low_balance', json_build_object(
        'balance', v_payer.balance::text, 'threshold', v_payer.low_balance_threshold::text));
    end if;
  end loop;
  if v_key_notices is not null then
    for v_notice in
      select k.id, k.user_id, k.name, k.key_prefix, k.budget, k.budget_spent, k.budget_period, notice.value as event
      from jsonb_each_text(v_key_notices) as notice
      join data.virtual_key k on k.id = notice.key::uuid
      order by k.id
    loop
      perform app.queue_notification(v_notice.user_id, v_notice.event, json_build_object('key_id', v_notice.id, 'name', v_notice.name,
        'key_prefix', v_notice.key_prefix, 'budget', v_notice.budget::text, 'budget_spent', v_notice.budget_spent::text,
        'budget_period', v_notice.budget_period));
    end loop;
  end if;
  if v_used_up_members is not null then
    v_used_up_keys := v_used_up_keys || array(select k.id from data.virtual_key k where k.user_id = any (v_used_up_members) and k.deleted_at is null);
    v_keys := v_keys || v_used_up_keys;
  end if;
  if v_has_failures then
    perform app.note_provider_failures(v_events, v_new_requests);
  end if;

  return json_build_object(
    'events', (
      select coalesce(json_agg(json_build_object(
          'request_id', e.request_id,
          'result', case when u.request_id is null and e.created_at < v_closed_before then 'month_closed'
            when u.request_id is null then 'unknown_grant' when u.request_id = any (v_new_requests) then 'recorded' else 'duplicate' end,
          'charge', u.charge::text,
          'currency', u.currency,
          'balance', p.balance::text,
          'status', p.status) order by e.ordinality), '[]')
      from unnest(v_events) e
      left join lateral (
        select l.* from data.usage_log l
        where l.created_at = e.created_at and l.request_id = e.request_id and l.created_at between v_first_call_at and v_last_call_at
        limit 1
      ) u on true
      left join lateral (select a.* from data.user_profile a where a.user_id = u.payer_id limit 1) p on true),
    'dropped_keys', (
      select coalesce(json_agg(k.id), '[]')
      from data.virtual_key k
      where k.id = any (v_keys)
        and (k.id = any (v_used_up_keys) or (
          select p.status <> 'active'
          from data.user_profile u
          join data.user_profile p on p.user_id = coalesce(u.payer_id, u.user_id)
          where u.user_id = k.user_id))));
end
$$;
revoke all on function api.record_usage(jsonb) from public;
grant execute on function api.record_usage(jsonb) to gateway;
comment on function api.record_usage(jsonb) is
$$Records calls and bills them: usage rows, one ledger entry and one balance update per payer, status changes, release of what was held.

events: array of {request_id (uuidv7), grant_id, target_index, status (ok, error, aborted, interrupted), http_status, input_tokens (of all
kinds), cached_input_tokens, cache_write_tokens, output_tokens (of all kinds), reasoning_tokens, cache_write_1h_tokens (of the cache writes), audio_input_tokens,
image_input_tokens, audio_output_tokens, image_output_tokens, images, image_size, image_quality, characters, seconds, estimated, streamed,
latency_ms, time_to_first_token_ms, error_code, model_served}. The price is the one fixed at authorisation. Status error means
that no provider answered: nothing is charged. Nor, unless the setting charge_empty_failures says so, is a call that broke off
(interrupted) before any output. Recording the same request_id again changes nothing.
Returns per event {request_id, result (recorded, duplicate, unknown_grant, month_closed: it arrived in a month
that has been archived, recorded then or never), charge, currency, balance, status (of the account)} and the
keys whose grants must be dropped now.
All or nothing. Errors: invalid_usage_event.$$;
