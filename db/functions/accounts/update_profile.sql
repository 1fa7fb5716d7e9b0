create or replace function api.update_profile(changes jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile constant data.user_profile := app.lock_managed_user(app.current_user_id());
begin
  perform app.require_known_fields(update_profile.changes, array['username', 'low_balance_threshold']);
  update data.user_profile p
  set username = case when update_profile.changes ? 'username'
      then app.require_text(update_profile.changes ->> 'username', 'invalid_name') else p.username end,
    low_balance_threshold = case when update_profile.changes -> 'low_balance_threshold' = 'null' then null
      when update_profile.changes ? 'low_balance_threshold'
      then app.require_amount_from_zero(update_profile.changes ->> 'low_balance_threshold', 'invalid_threshold')
      else p.low_balance_threshold end
  where p.user_id = v_profile.user_id;
  return app.describe_user(v_profile.user_id);
end
$$;
revoke all on function api.update_profile(jsonb) from public;
grant execute on function api.update_profile(jsonb) to customer, tenant_admin, platform_admin;
comment on function api.update_profile(jsonb) is
$$Changes the caller's own profile.

changes: username (1 to 100 characters); low_balance_threshold (a notice is sent when the balance falls to it; an amount
from 0 on as a string, null for none). What is absent stays.
Result: the user, as create_member. Errors: unknown_field 400, invalid_name 400, invalid_threshold 400.$$;
