create or replace function app.check_balance(payer data.user_profile, amount numeric, is_strict boolean, moment timestamptz) returns numeric
language plpgsql volatile
set search_path = ''
as $$
declare
  v_credit numeric := payer.balance + payer.credit_limit;
  v_held numeric;
begin
  if v_credit <= 0 or is_strict and v_credit < amount then
    perform app.raise_error('insufficient_balance');
  end if;
  select coalesce(sum(g.amount), 0) into v_held
  from data.request_grant g
  where g.payer_id = payer.user_id and g.is_held and g.expires_at > moment;
  if v_credit - v_held <= 0 or is_strict and v_credit - v_held < amount then
    perform app.raise_error('in_flight_budget_exhausted', null, '{"Retry-After": "1"}');
  end if;
  return v_credit - v_held;
end
$$;
revoke all on function app.check_balance(data.user_profile, numeric, boolean, timestamptz) from public;
comment on function app.check_balance(data.user_profile, numeric, boolean, timestamptz) is
$$Refuses a call that the payer's balance does not admit. The payer's row must be locked.

Available is the balance and the credit limit less what calls in flight hold. By default a call is admitted while anything is
available, so that the balance goes below zero by one call at most; is_strict: only when the whole estimate is available.
amount: estimated charge of the call. Returns what is available. Errors: insufficient_balance; in_flight_budget_exhausted when only calls in flight stand in the way.$$;
