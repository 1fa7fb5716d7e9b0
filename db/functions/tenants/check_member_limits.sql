create or replace function app.check_member_limits(user_id uuid, tenant data.tenant, amount numeric, tokens bigint, is_strict boolean,
  moment timestamptz, out headers jsonb, out requests_left bigint, out tokens_left bigint, out budget_left numeric)
language plpgsql volatile
set search_path = ''
as $$
declare
  v_member data.member_limit;
  v_period text;
  v_keys uuid[];
begin
  headers := '{}';
  select m.* into v_member from data.member_limit m where m.user_id = check_member_limits.user_id for no key update;
  if not found then
    return;
  end if;
  v_keys := array(select k.id from data.virtual_key k where k.user_id = check_member_limits.user_id);
  v_period := case when v_member.budget is not null then v_member.budget_period else tenant.member_budget_period end;
  budget_left := app.check_budget(v_keys, coalesce(v_member.budget, tenant.member_budget),
    app.spent_at(v_member.budget_spent, v_period, v_member.budget_period_start, moment), amount, is_strict, moment,
    'It is the budget that the tenant gives its member.');
  select l.headers, l.requests_left, l.tokens_left into headers, requests_left, tokens_left
  from app.check_rate_limits(v_keys, coalesce(v_member.rate_limits, tenant.member_rate_limits), tokens, moment) l;
end
$$;
revoke all on function app.check_member_limits(uuid, data.tenant, numeric, bigint, boolean, timestamptz) from public;
comment on function app.check_member_limits(uuid, data.tenant, numeric, bigint, boolean, timestamptz) is
$$Refuses a call that the limits of a member of a tenant do not admit, over all keys of the member. The payer's row must be locked.

amount, tokens: estimates of the call. Returns the x-ratelimit headers and what is left beside this call; null: no limit.
Errors: key_budget_exceeded, rate_limit_exceeded, in_flight_budget_exhausted.$$;
