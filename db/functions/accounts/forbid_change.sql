create or replace function app.forbid_change() returns trigger
language plpgsql volatile
set search_path = ''
as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;
revoke all on function app.forbid_change() from public;
comment on function app.forbid_change() is
$$Trigger: refuses to change or take away what has been written, for everybody.$$;

create or replace trigger _100_append_only before update or delete or truncate on data.ledger_entry
  for each statement execute function app.forbid_change();
create or replace trigger _100_append_only before update or delete or truncate on data.status_log
  for each statement execute function app.forbid_change();
create or replace trigger _100_append_only before update or delete or truncate on data.audit_log
  for each statement execute function app.forbid_change();
