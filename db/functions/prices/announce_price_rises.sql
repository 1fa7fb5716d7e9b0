create or replace function app.announce_price_rises() returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := app.now();
  v_notice record;
  v_told integer := 0;
begin
  for v_notice in
    with moment as (
      select m.at from app.price_moments() m (at)
      -- The hour makes up for the time since it was scheduled.
      where m.at > v_now + make_interval(days => app.setting('price_notice_days')::integer) - interval '1 hour'
    ), customer as (
      select distinct u.user_id, u.model from data.usage_daily u where u.level = 'key' and u.day > v_now - interval '30 days'
      union
      select distinct u.user_id, u.model from data.usage_hourly u where u.level = 'key' and u.hour > v_now - interval '2 days'
      union
      -- What has not been rolled up yet.
      select distinct u.user_id, u.model from data.usage_log u where u.created_at > v_now - interval '2 hours'
    ), rise as (
      select p.user_id, p.payer_id, t.currency, c.model, moment.at,
        jsonb_agg(jsonb_build_object('unit', rise.unit, 'from_input_tokens', rise.min_input_tokens,
          'old', round(rise.old, 10)::text, 'new', round(rise.new, 10)::text) order by rise.unit, rise.min_input_tokens) as prices
      from customer c
      join data.user_profile p on p.user_id = c.user_id and p.status <> 'closed'
      join data.tenant t on t.id = p.tenant_id
      cross join moment
      cross join lateral (
        -- Of several targets, the steepest rise.
        select distinct on (after.unit, after.min_input_tokens) after.unit, after.min_input_tokens, before.price as old, after.price as new
        from app.retail_prices(t.id, p.user_id, c.model, t.currency, moment.at) after
        cross join lateral (
          select b.price
          from app.retail_prices(t.id, p.user_id, c.model, t.currency, moment.at - interval '1 microsecond') b
          where b.target_id = after.target_id and b.unit = after.unit and b.min_input_tokens <= after.min_input_tokens
          order by b.min_input_tokens desc
          limit 1
        ) before
        where after.price > before.price
        order by after.unit, after.min_input_tokens, after.price - before.price desc
      ) rise
      group by p.user_id, p.payer_id, t.currency, c.model, moment.at
    ), told as (
      insert into data.price_notice as n (user_id, model, valid_from, prices, created_at)
      select distinct on (recipient.user_id, r.model, r.at) recipient.user_id, r.model, r.at, r.prices, v_now
      from rise r
      cross join lateral (select r.user_id union select r.payer_id where r.payer_id is not null) recipient
      order by recipient.user_id, r.model, r.at, recipient.user_id = r.user_id desc
      on conflict on constraint price_notice_pkey do update set prices = excluded.prices, created_at = excluded.created_at
      where n.prices <> excluded.prices
      returning n.*
    )
    select n.user_id, n.valid_from, t.currency,
      jsonb_agg(jsonb_build_object('model', n.model, 'prices', n.prices) order by n.model) as models
    from told n
    join data.user_profile p on p.user_id = n.user_id
    join data.tenant t on t.id = p.tenant_id
    group by n.user_id, n.valid_from, t.currency
    order by n.user_id, n.valid_from
  loop
    perform app.queue_notification(v_notice.user_id, 'price.rise', json_build_object('valid_from', v_notice.valid_from,
      'currency', v_notice.currency, 'models', v_notice.models));
    v_told := v_told + 1;
  end loop;
  return v_told;
end
$$;
revoke all on function app.announce_price_rises() from public;
grant execute on function app.announce_price_rises() to worker;
comment on function app.announce_price_rises() is
$$Tells customers of rises of the retail price that are scheduled: of models that they, or those they pay for, used in the last 30 days.

Rates, exchange rates and markups all count. Nobody is told twice of the same rise. The worker runs it whenever something is scheduled at
least price_notice_days ahead, and every hour. Returns how many notices were queued.$$;
