create or replace function app.may_log_in(login_id uuid) returns boolean
language sql stable
set search_path = ''
as $$
  select exists (
    select from data.user_profile p
    join data.tenant t on t.id = p.tenant_id
    where p.user_id = login_id and p.status <> 'closed' and t.status <> 'closed');
$$;
revoke all on function app.may_log_in(uuid) from public;
comment on function app.may_log_in(uuid) is
$$Whether neither the account nor its tenant is closed. A suspended user may log in, to read.$$;
