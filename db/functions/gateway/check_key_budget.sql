create or replace function app.check_key_budget(key data.virtual_key, amount numeric, is_strict boolean, moment timestamptz) returns numeric
language plpgsql volatile
set search_path = ''
as $$
declare
  v_left numeric;
  v_held numeric;
begin
  if key.budget is null then
    return null;
  end if;
  v_left := key.budget - case
    when key.budget_period_start is not distinct from app.budget_period_start(key.budget_period, moment) then key.budget_spent
    else 0 end;
  if v_left <= 0 or is_strict and v_left < amount then
    perform app.raise_error('key_budget_exceeded');
  end if;
  select coalesce(sum(g.amount), 0) into v_held
  from data.request_grant g
  where g.key_id = key.id and g.amount > 0 and g.expires_at > moment;
  if v_left - v_held <= 0 or is_strict and v_left - v_held < amount then
    perform app.raise_error('in_flight_budget_exhausted', null, '{"Retry-After": "1"}');
  end if;
  return v_left - v_held;
end
$$;
revoke all on function app.check_key_budget(data.virtual_key, numeric, boolean, timestamptz) from public;
comment on function app.check_key_budget(data.virtual_key, numeric, boolean, timestamptz) is
$$Refuses a call that the key's budget does not admit. The key's row must be locked.

amount: estimated charge of the call. is_strict: whether the whole estimate must be covered.
Returns what is left of the budget beside calls in flight; null: there is no budget.
Errors: key_budget_exceeded; in_flight_budget_exhausted when only calls in flight stand in the way.$$;
