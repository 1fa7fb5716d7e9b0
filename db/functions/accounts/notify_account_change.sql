create or replace function app.notify_account_change() returns trigger
language plpgsql volatile
set search_path = ''
as $$
begin
  perform app.notify_config_change(tg_argv[0], (to_jsonb(new) ->> tg_argv[1])::uuid);
  return null;
end
$$;
revoke all on function app.notify_account_change() from public;
comment on function app.notify_account_change() is
$$Trigger: tells the proxies that a tenant or a user has changed.

Arguments: the scope (tenant, user) and the column that holds its id.$$;

create or replace trigger _500_notify_config_change after update on data.tenant
  for each row when (old.* is distinct from new.*)
  execute function app.notify_account_change('tenant', 'id');
-- By column, so that a change of the balance notifies nobody.
create or replace trigger _500_notify_config_change after update of status, payer_id, credit_limit, tenant_id on data.user_profile
  for each row when ((old.status, old.payer_id, old.credit_limit, old.tenant_id) is distinct from (new.status, new.payer_id, new.credit_limit, new.tenant_id))
  execute function app.notify_account_change('user', 'user_id');
