create or replace function app.notify_running_out() returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_spend_days constant integer := app.setting('run_out_spend_days')::integer;
  v_notice_days constant integer := app.setting('run_out_notice_days')::integer;
  v_account record;
  v_told integer := 0;
begin
  for v_account in
    select p.user_id, p.balance, spent.per_day, p.balance / spent.per_day as days_left, refilled.id as last_refill
    from data.user_profile p
    cross join lateral (
      select -sum(l.amount) / v_spend_days as per_day
      from data.ledger_entry l
      where l.user_id = p.user_id and l.kind = 'usage' and l.created_at >= app.now() - make_interval(days => v_spend_days)
    ) spent
    left join lateral (
      select l.id from data.ledger_entry l
      where l.user_id = p.user_id and l.kind <> 'usage' and l.amount > 0
      order by l.created_at desc, l.id desc limit 1
    ) refilled on true
    where p.status = 'active' and p.balance > 0 and spent.per_day > 0 and p.balance < spent.per_day * v_notice_days
    order by p.user_id
  loop
    perform app.queue_notification(v_account.user_id, 'account.running_out', json_build_object(
        'balance', v_account.balance::text, 'spend_per_day', round(v_account.per_day, 10)::text, 'days_left', round(v_account.days_left, 1)::text),
      format('running out %s %s', v_account.user_id, v_account.last_refill));
    v_told := v_told + 1;
  end loop;
  return v_told;
end
$$;
revoke all on function app.notify_running_out() from public;
grant execute on function app.notify_running_out() to worker;
comment on function app.notify_running_out() is
$$Tells users whose balance will be used up within run_out_notice_days if they go on spending as in the last run_out_spend_days; the worker
runs it every day. Told once until money comes in.

Returns how many accounts are about to run out.$$;
