create or replace function app.notify_scoped_change() returns trigger
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  -- Whom a rule is for never changes: it is what the rule is found by.
  v_scope jsonb := to_jsonb(case tg_op when 'DELETE' then old else new end);
begin
  if v_scope ->> 'user_id' is not null then
    perform app.notify_config_change('user', (v_scope ->> 'user_id')::uuid);
  elsif v_scope ->> 'tenant_id' is not null then
    perform app.notify_config_change('tenant', (v_scope ->> 'tenant_id')::uuid);
  else
    perform app.notify_config_change('all');
  end if;
  return null;
end
$$;
revoke all on function app.notify_scoped_change() from public;
comment on function app.notify_scoped_change() is
$$Tells the proxies that a rule for a user, a tenant or all has changed.$$;

create or replace trigger _100_notify_scoped_change
after insert or update or delete on data.markup_rule
for each row execute function app.notify_scoped_change();

create or replace trigger _100_notify_scoped_change
after insert or update or delete on data.portkey_configs
for each row execute function app.notify_scoped_change();
