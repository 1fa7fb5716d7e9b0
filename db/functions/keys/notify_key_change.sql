create or replace function app.notify_key_change() returns trigger
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  perform app.notify_config_change('key', new.id);
  return null;
end
$$;
revoke all on function app.notify_key_change() from public;
comment on function app.notify_key_change() is
$$Tells the proxies that a key has changed. Not on spending: that changes with every call.$$;

create or replace trigger _100_notify_key_change
after update of rate_limits, allowed_models, budget, budget_period, ip_allowlist, is_active, expires_at, key_hash,
  previous_key_hash, previous_key_expires_at, deleted_at, user_id, tenant_id
on data.virtual_key
for each row execute function app.notify_key_change();
