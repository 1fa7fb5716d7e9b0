create or replace function app.require_credit_policy(credit_policy text) returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  if credit_policy is null or credit_policy not in ('default', 'strict') then
    perform app.raise_error('invalid_credit_policy');
  end if;
  return credit_policy;
end
$$;
revoke all on function app.require_credit_policy(text) from public;
comment on function app.require_credit_policy(text) is
$$The credit policy itself when it is default or strict. Errors: invalid_credit_policy.$$;
