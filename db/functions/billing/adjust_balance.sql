create or replace function api.adjust_balance(user_id uuid, amount numeric, reference text, reason text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  perform app.require_amount(abs(adjust_balance.amount));
  return app.book_entry(adjust_balance.user_id, 'adjustment', adjust_balance.amount,
    app.require_text(adjust_balance.reference, 'invalid_reference', 200),
    app.require_text(adjust_balance.reason, 'invalid_reason', 1000));
end
$$;
revoke all on function api.adjust_balance(uuid, numeric, text, text) from public;
grant execute on function api.adjust_balance(uuid, numeric, text, text) to platform_admin;
comment on function api.adjust_balance(uuid, numeric, text, text) is
$$Corrects a balance up or down.

user_id: whose account. amount: signed, not 0, at most 10 decimals, in the account's currency; best as a JSON string.
reference: unique name of the correction. reason: in words; the customer sees it.
Returns {entry_id, user_id, kind, amount, currency, reference, balance, status}.
Errors: invalid_amount, invalid_reference, invalid_reason, user_not_found, account_closed, duplicate_reference.$$;
