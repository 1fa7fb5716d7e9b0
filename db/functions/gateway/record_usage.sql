create or replace function api.record_usage(events jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
-- Planning costs more than running here.
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz;
  v_closed_before timestamptz := '-infinity';
  v_events app.usage_event[] := app.parse_usage_events(record_usage.events);
  v_first_call_at timestamptz;
  v_last_call_at timestamptz;
  v_has_failures boolean;
  v_payers uuid[];
  v_keys uuid[];
  v_users uuid[];
  v_entries jsonb;
  v_has_members boolean;
  v_new_calls integer;
  -- By request id: result, charge, currency, payer, key.
  v_calls jsonb;
  v_payer_notices jsonb;
  v_used_up_keys uuid[];
  v_key_notices jsonb;
  v_member_charges jsonb;
  v_used_up_members uuid[];
  v_notice record;
begin
  -- Arrays and lateral joins with a limit keep every look-up on its index, whatever the planner believes about the size of a batch.
  select min(e.created_at), max(e.created_at), bool_or(e.error_code is not null or e.target_index > 0),
    array_agg(distinct g.payer_id), array_agg(distinct g.key_id), array_agg(distinct g.user_id),
    -- The ledger entry of each payer.
    jsonb_object_agg(g.payer_id, uuidv7()) filter (where g.payer_id is not null)
  into v_first_call_at, v_last_call_at, v_has_failures, v_payers, v_keys, v_users, v_entries
  from unnest(v_events) e
  left join lateral (select r.payer_id, r.key_id, r.user_id from data.request_grant r where r.id = e.grant_id limit 1) g on true;
  -- Lock order: accounts by id, then keys by id, then grants: see docs/lock-order.md.
  perform from data.user_profile p where p.user_id = any (v_payers) order by p.user_id for no key update;
  perform from data.virtual_key k where k.id = any (v_keys) order by k.id for no key update;
  perform from data.member_limit m where m.user_id = any (v_users) order by m.user_id for no key update;
  v_has_members := found;
  v_now := app.now();
  -- What has been archived would not be found again. A month is frozen days after its end, so that calls of today need not ask.
  if v_first_call_at < v_now - interval '12 hours' then
    select coalesce((max(a.month) + interval '1 month') at time zone 'UTC', '-infinity') into strict v_closed_before from data.usage_archive a;
  end if;

  with logged as (
    insert into data.usage_log (request_id, created_at, user_id, tenant_id, payer_id, key_id, grant_id, endpoint, model, provider,
      upstream_model, model_served, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
      cache_write_1h_tokens, audio_input_tokens, image_input_tokens, audio_output_tokens, image_output_tokens, images, image_size,
      image_quality, characters, seconds, price_substituted, rate_id, cost, cost_currency, exchange_rate, markup_percent, charge, currency,
      ledger_entry_id, status, http_status, error_code, estimated, streamed, latency_ms, time_to_first_token_ms, recorded_at)
    select e.request_id, e.created_at, g.user_id, g.tenant_id, g.payer_id, g.key_id, g.id, g.endpoint, g.model, target.value ->> 'provider',
      target.value ->> 'upstream_model', e.model_served, e.input_tokens, e.cached_input_tokens, e.cache_write_tokens, e.output_tokens, e.reasoning_tokens,
      e.cache_write_1h_tokens, e.audio_input_tokens, e.image_input_tokens, e.audio_output_tokens, e.image_output_tokens, e.images, e.image_size,
      e.image_quality, e.characters, e.seconds, coalesce(price.is_substituted, false), price.rate_id, coalesce(price.cost, 0), price.cost_currency,
      price.exchange_rate, (target.value ->> 'markup_percent')::numeric, coalesce(price.charge, 0), g.currency,
      case when price.charge > 0 then (v_entries ->> g.payer_id::text)::uuid end, e.status, e.http_status, e.error_code,
      e.estimated, e.streamed, e.latency_ms, e.time_to_first_token_ms, v_now
    from unnest(v_events) e
    cross join lateral (select r.* from data.request_grant r where r.id = e.grant_id limit 1) g
    -- A call that no provider answered has no target and costs nothing.
    left join lateral (
      -- An index that the grant does not know must not make the call free.
      select coalesce(g.targets -> e.target_index, g.targets -> 0) as value where e.status <> 'error'
    ) target on true
    left join lateral app.price_call(target.value -> 'rates', (target.value ->> 'markup_percent')::numeric, e) price
      on e.status <> 'interrupted' or e.output_tokens > 0 or e.images > 0 or e.seconds > 0 or app.setting('charge_empty_failures')::boolean
    where e.created_at >= v_closed_before
    -- Recorded before, or earlier in this batch.
    on conflict do nothing
    returning request_id, created_at, user_id, payer_id, key_id, grant_id, input_tokens + output_tokens as tokens, charge, currency, ledger_entry_id
  ), paid as (
    update data.user_profile p
    set balance = p.balance - b.amount
    from (
      -- One row for each payer: of a second one the update would take no notice.
      select l.payer_id, l.ledger_entry_id, min(l.currency) as currency, sum(l.charge) as amount
      from logged l
      where l.ledger_entry_id is not null
      group by l.payer_id, l.ledger_entry_id
    ) b
    where p.user_id = b.payer_id
    returning p.user_id, p.tenant_id, p.balance, b.amount, b.ledger_entry_id, b.currency,
      -- Whether something is to be done about it.
      p.status <> app.status_for_balance(p) as is_status_over,
      p.balance <= p.low_balance_threshold and p.balance + b.amount > p.low_balance_threshold as is_low
  ), booked as (
    insert into data.ledger_entry (id, user_id, tenant_id, kind, amount, balance_after, currency, reference, created_at)
    select p.ledger_entry_id, p.user_id, p.tenant_id, 'usage', -p.amount, p.balance, p.currency, 'usage ' || p.ledger_entry_id, v_now
    from paid p
  ), released as (
    update data.request_grant g
    set settled_requests = least(g.requests, g.settled_requests + s.requests),
      amount = case when g.settled_requests + s.requests >= g.requests then 0 else g.amount - s.requests * g.amount_per_request end,
      -- Calls beyond those that were granted have no estimate to take back.
      tokens = greatest(0, g.tokens - least(s.requests, g.requests - g.settled_requests) * g.tokens_per_request + s.tokens)
    from (
      select l.grant_id, count(*)::integer as requests, sum(l.tokens) as tokens
      from logged l
      group by l.grant_id
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
      select l.key_id, max(l.created_at) as last_used_at, sum(l.charge) as charge
      from logged l
      group by l.key_id
    ) s
    where k.id = s.key_id
    returning k.id, k.budget <= k.budget_spent as is_budget_used_up,
      -- What was just crossed: what was spent in the period before is what is spent now less these charges.
      case
        when k.budget_spent >= k.budget and k.budget_spent - s.charge < k.budget then 'key.budget_exhausted'
        when k.budget_spent >= k.budget * 0.8 and k.budget_spent - s.charge < k.budget * 0.8 then 'key.budget_warning'
      end as notice
  )
  select count(*), coalesce(jsonb_object_agg(l.request_id, jsonb_build_array('recorded', l.charge::text, l.currency, l.payer_id, l.key_id)), '{}'),
    (select jsonb_object_agg(p.user_id, p.is_status_over) from paid p where p.is_status_over or p.is_low),
    (select array_agg(s.id) from spent s where s.is_budget_used_up),
    (select jsonb_object_agg(s.id, s.notice) from spent s where s.notice is not null),
    case when v_has_members then (
      select jsonb_object_agg(m.user_id, m.charge) from (select l.user_id, sum(l.charge) as charge from logged l group by l.user_id) m) end
  into v_new_calls, v_calls, v_payer_notices, v_used_up_keys, v_key_notices, v_member_charges
  from logged l;

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

  if v_payer_notices is not null then
    for v_notice in
      select p.user_id, p.balance, p.low_balance_threshold, app.status_for_balance(p) as new_status, notice.value::boolean as is_status_over
      from jsonb_each_text(v_payer_notices) as notice
      join data.user_profile p on p.user_id = notice.key::uuid
      order by p.user_id
    loop
      if v_notice.is_status_over then
        perform app.change_status(v_notice.user_id, v_notice.new_status, 'The balance is used up.');
      else
        perform app.queue_notification(v_notice.user_id, 'account.low_balance', json_build_object(
          'balance', v_notice.balance::text, 'threshold', v_notice.low_balance_threshold::text));
      end if;
    end loop;
  end if;
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
  end if;
  if v_has_failures then
    perform app.note_provider_failures(v_events, array(select jsonb_object_keys(v_calls)::uuid));
  end if;
  if v_new_calls < cardinality(v_events) then
    v_calls := v_calls || coalesce((
      select jsonb_object_agg(u.request_id, jsonb_build_array('duplicate', u.charge::text, u.currency, u.payer_id, u.key_id))
      from unnest(v_events) e
      cross join lateral (
        select l.* from data.usage_log l
        where l.created_at = e.created_at and l.request_id = e.request_id
          -- Leaves out the partitions of other months before the query begins.
          and l.created_at between v_first_call_at and v_last_call_at
        limit 1
      ) u
      where not v_calls ? e.request_id::text), '{}');
  end if;

  return (
    select json_build_object(
      'events', coalesce(json_agg(json_build_object(
        'request_id', e.request_id,
        'result', coalesce(call.value ->> 0, case when e.created_at < v_closed_before then 'month_closed' else 'unknown_grant' end),
        'charge', call.value ->> 1,
        'currency', call.value ->> 2,
        'balance', p.balance::text,
        'status', p.status) order by e.ordinality), '[]'),
      'dropped_keys', to_json(v_used_up_keys || coalesce(array_agg(distinct (call.value ->> 4)::uuid)
        filter (where p.status <> 'active' and ((call.value ->> 4)::uuid = any (v_used_up_keys)) is not true), '{}')))
    from unnest(v_events) e
    cross join lateral (select v_calls -> e.request_id::text as value) call
    left join lateral (select a.* from data.user_profile a where a.user_id = (call.value ->> 3)::uuid limit 1) p on true);
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
