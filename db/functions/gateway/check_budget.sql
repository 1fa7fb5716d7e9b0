create or replace function app.check_budget(key_ids uuid[], budget numeric, spent numeric, amount numeric, is_strict boolean, moment timestamptz,
  hint text default null) returns numeric
language plpgsql volatile
set search_path = ''
as $$
declare
  v_left constant numeric := budget - spent;
  v_held numeric;
begin
  if budget is null then
    return null;
  end if;
  if v_left <= 0 or is_strict and v_left < amount then
    perform app.raise_error('key_budget_exceeded', hint);
  end if;
  select coalesce(sum(g.amount), 0) into v_held
  from data.request_grant g
  where g.key_id = any (key_ids) and g.is_held and g.expires_at > moment;
  if v_left - v_held <= 0 or is_strict and v_left - v_held < amount then
    perform app.raise_error('in_flight_budget_exhausted', hint, '{"Retry-After": "1"}');
  end if;
  return v_left - v_held;
end
$$;
revoke all on function app.check_budget(uuid[], numeric, numeric, numeric, boolean, timestamptz, text) from public;
comment on function app.check_budget(uuid[], numeric, numeric, numeric, boolean, timestamptz, text) is
$$Refuses a call that a budget does not admit: that of a key, or that of a member of a tenant over all the member's keys.

key_ids: the keys that share the budget; what holds it must be locked. spent: in the running period. amount: estimated charge of the call.
is_strict: whether the whole estimate must be covered. hint: for the error.
Returns what is left of the budget beside calls in flight; null: there is no budget.
Errors: key_budget_exceeded; in_flight_budget_exhausted when only calls in flight stand in the way.$$;
