create or replace function api.redeem_code(code text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_user_id constant uuid := app.current_user_id();
  v_payer_id uuid;
  v_window constant interval := make_interval(mins => app.setting('redemption_failure_window_minutes')::integer);
  v_attempts record;
  v_code data.redemption_code;
  v_batch data.redemption_batch;
  v_entry json;
begin
  select coalesce(p.payer_id, p.user_id) into strict v_payer_id from data.user_profile p where p.user_id = v_user_id;
  -- The user's row too: tries of one user are counted one after the other. Lock order: accounts by id.
  perform from data.user_profile p where p.user_id in (v_user_id, v_payer_id) order by p.user_id for no key update;
  select count(*) as failures, min(a.attempted_at) as first_at into strict v_attempts
  from data.redemption_attempt a
  where a.user_id = v_user_id and a.attempted_at > app.now() - v_window;
  if v_attempts.failures >= app.setting('redemption_failure_limit')::integer then
    perform app.raise_error('too_many_redemptions', null, jsonb_build_object('Retry-After',
      ceil(extract(epoch from v_attempts.first_at + v_window - app.now()))::text));
  end if;

  select c.* into v_code from data.redemption_code c where c.code_hash = app.hash_redemption_code(redeem_code.code) for update;
  if not found then
    -- Raising would undo the count.
    insert into data.redemption_attempt (user_id, attempted_at) values (v_user_id, app.now());
    return app.answer_error('redemption_code_not_found');
  end if;
  select b.* into strict v_batch from data.redemption_batch b where b.id = v_code.batch_id for key share;
  if v_code.redeemed_at is not null then
    perform app.raise_error('redemption_code_used');
  elsif v_batch.expires_at <= app.now() or v_batch.withdrawn_at is not null then
    perform app.raise_error('redemption_code_expired');
  elsif v_batch.currency <> (
    select t.currency from data.user_profile p join data.tenant t on t.id = p.tenant_id where p.user_id = v_payer_id
  ) then
    perform app.raise_error('redemption_currency_mismatch', format('The code is worth %s.', v_batch.currency));
  end if;

  v_entry := app.book_entry(v_payer_id, 'redeem', v_batch.amount, format('redemption code %s', v_code.id), format('Redemption code %s…', v_code.code_prefix));
  update data.redemption_code c
  set redeemed_by = v_user_id, redeemed_at = app.now(), ledger_entry_id = (v_entry ->> 'entry_id')::uuid
  where c.id = v_code.id;
  -- Another's balance is not the member's to see.
  return case when v_payer_id = v_user_id then v_entry
    else json_build_object('entry_id', v_entry ->> 'entry_id', 'kind', 'redeem', 'amount', v_entry ->> 'amount', 'currency', v_entry ->> 'currency',
      'reference', v_entry ->> 'reference') end;
end
$$;
revoke all on function api.redeem_code(text) from public;
grant execute on function api.redeem_code(text) to customer, tenant_admin, platform_admin;
comment on function api.redeem_code(text) is
$$Redeems a code: its value goes to the account that pays for the caller's calls.

code: as printed; case, hyphens and spaces do not matter. Returns {entry_id, user_id, kind, amount, currency, reference, balance, status}; without
user_id, balance and status when another account pays. Errors: redemption_code_not_found, redemption_code_used, redemption_code_expired,
redemption_currency_mismatch, account_closed; too_many_redemptions with Retry-After after too many codes that do not exist.$$;
