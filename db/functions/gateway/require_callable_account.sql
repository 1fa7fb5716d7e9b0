create or replace function app.require_callable_account(user_status text, payer_status text, tenant_status text) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if tenant_status <> 'active' or user_status in ('suspended', 'closed') or payer_status in ('suspended', 'closed') then
    perform app.raise_error('account_suspended');
  elsif payer_status = 'pending' then
    perform app.raise_error('account_pending');
  elsif payer_status = 'overdue' then
    perform app.raise_error('account_overdue');
  end if;
end
$$;
revoke all on function app.require_callable_account(text, text, text) from public;
comment on function app.require_callable_account(text, text, text) is
$$Refuses calls of accounts that may not make any. The user's own pending or overdue does not count when another user pays.

Errors: account_suspended, account_pending, account_overdue.$$;
