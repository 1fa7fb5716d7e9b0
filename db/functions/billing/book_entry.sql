create or replace function app.book_entry(user_id uuid, kind text, amount numeric, reference text, reason text, request_id uuid default null)
returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  v_profile data.user_profile;
  v_entry data.ledger_entry;
  v_new_status text;
begin
  select p.* into v_profile from data.user_profile p where p.user_id = book_entry.user_id for no key update;
  if not found then
    perform app.raise_error('user_not_found');
  elsif v_profile.status = 'closed' then
    perform app.raise_error('account_closed');
  end if;
  if exists (select from data.ledger_entry l where l.reference = book_entry.reference) then
    perform app.raise_error('duplicate_reference');
  end if;

  update data.user_profile p set balance = p.balance + book_entry.amount where p.user_id = book_entry.user_id returning p.* into v_profile;
  begin
    insert into data.ledger_entry (user_id, tenant_id, kind, amount, balance_after, currency, reference, request_id, reason, created_by, created_at)
    select v_profile.user_id, v_profile.tenant_id, book_entry.kind, book_entry.amount, v_profile.balance, t.currency,
      book_entry.reference, book_entry.request_id, book_entry.reason, app.current_user_id(), app.now()
    from data.tenant t
    where t.id = v_profile.tenant_id
    returning * into v_entry;
  exception when unique_violation then
    -- Another account's entry took the reference meanwhile.
    perform app.raise_error('duplicate_reference');
  end;

  v_new_status := app.status_for_balance(v_profile);
  perform app.change_status(v_profile.user_id, v_new_status, format('Balance changed by %s.', replace(book_entry.kind, '_', ' ')));
  if v_new_status = v_profile.status and v_profile.balance <= v_profile.low_balance_threshold
    and v_profile.balance - v_entry.amount > v_profile.low_balance_threshold
  then
    perform app.queue_notification(v_entry.user_id, 'account.low_balance', json_build_object('balance', v_profile.balance::text,
      'threshold', v_profile.low_balance_threshold::text));
  end if;
  if v_entry.kind = 'top_up' then
    perform app.queue_notification(v_entry.user_id, 'payment.received', json_build_object('amount', v_entry.amount::text,
      'currency', v_entry.currency, 'reference', v_entry.reference, 'balance', v_entry.balance_after::text));
  end if;
  return json_build_object('entry_id', v_entry.id, 'user_id', v_entry.user_id, 'kind', v_entry.kind, 'amount', v_entry.amount::text,
    'currency', v_entry.currency, 'reference', v_entry.reference, 'balance', v_entry.balance_after::text, 'status', v_new_status);
end
$$;
revoke all on function app.book_entry(uuid, text, numeric, text, text, uuid) from public;
comment on function app.book_entry(uuid, text, numeric, text, text, uuid) is
$$Moves money on an account: ledger entry, balance and status in one. Every movement but usage goes through here.

amount: signed, in the account's currency. reference: unique for ever.
Returns {entry_id, user_id, kind, amount, currency, reference, balance, status}.
Errors: user_not_found, account_closed, duplicate_reference.$$;
