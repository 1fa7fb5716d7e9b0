create or replace function api.top_up(user_id uuid, amount numeric, reference text, reason text default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  return app.book_entry(top_up.user_id, 'top_up', app.require_amount(top_up.amount),
    app.require_text(top_up.reference, 'invalid_reference', 200),
    case when top_up.reason is not null then app.require_text(top_up.reason, 'invalid_reason', 1000) end);
end
$$;
revoke all on function api.top_up(uuid, numeric, text, text) from public;
grant execute on function api.top_up(uuid, numeric, text, text) to platform_admin;
comment on function api.top_up(uuid, numeric, text, text) is
$$Books money that a customer paid in. A pending account becomes active; an overdue one when its balance reaches the threshold.

user_id: whose account. amount: positive, at most 10 decimals, in the account's currency; best as a JSON string.
reference: unique name of the payment, so that it is booked once. reason: in words.
Returns {entry_id, user_id, kind, amount, currency, reference, balance, status}.
Errors: invalid_amount, invalid_reference, invalid_reason, user_not_found, account_closed, duplicate_reference.$$;
