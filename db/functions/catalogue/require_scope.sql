create or replace function app.require_scope(tenant_id uuid, user_id uuid, model text, error_code text) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if tenant_id is not null and user_id is not null then
    perform app.raise_error(error_code, 'Name a tenant or a user: a user has one tenant.');
  elsif tenant_id is not null and not exists (select from data.tenant t where t.id = require_scope.tenant_id) then
    perform app.raise_error('tenant_not_found');
  elsif user_id is not null and not exists (select from data.user_profile p where p.user_id = require_scope.user_id) then
    perform app.raise_error('user_not_found');
  elsif model is not null and not exists (select from data.model m where m.name = require_scope.model) then
    perform app.raise_error('model_not_found');
  end if;
end
$$;
revoke all on function app.require_scope(uuid, uuid, text, text) from public;
comment on function app.require_scope(uuid, uuid, text, text) is
$$Checks whom a rule is for: a tenant or a user or all, and a model or all.

error_code: raised when both a tenant and a user are named. Errors besides: tenant_not_found, user_not_found, model_not_found.$$;
