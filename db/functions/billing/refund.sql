create or replace function api.refund(request_id uuid, amount numeric default null, reason text default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_usage record;
  v_left numeric;
  v_refunds bigint;
begin
  select u.payer_id, u.charge into v_usage
  from data.usage_log u
  where u.created_at = uuid_extract_timestamp(refund.request_id) and u.request_id = refund.request_id;
  if not found then
    perform app.raise_call_not_found(refund.request_id);
  end if;
  -- Two refunds of one call wait for each other here.
  perform from data.user_profile p where p.user_id = v_usage.payer_id for no key update;
  select v_usage.charge - coalesce(sum(l.amount), 0), count(*) into v_left, v_refunds
  from data.ledger_entry l
  where l.request_id = refund.request_id;
  if v_left <= 0 or refund.amount > v_left then
    perform app.raise_error('refund_exceeds_charge');
  end if;
  return app.book_entry(v_usage.payer_id, 'refund', app.require_amount(coalesce(refund.amount, v_left)),
    format('refund %s of %s', v_refunds + 1, refund.request_id),
    app.require_text(refund.reason, 'invalid_reason', 1000), refund.request_id);
end
$$;
revoke all on function api.refund(uuid, numeric, text) from public;
grant execute on function api.refund(uuid, numeric, text) to platform_admin;
comment on function api.refund(uuid, numeric, text) is
$$Gives back what a call was charged, in full or in part, to the account that paid. All refunds of a call together never exceed its charge.

request_id: the call. amount: positive, in the account's currency; without it, all that is left. reason: in words; the customer sees it.
Returns {entry_id, user_id, kind, amount, currency, reference, balance, status}.
Errors: request_not_found, call_archived, refund_exceeds_charge, invalid_amount, invalid_reason, account_closed.$$;
