create or replace function api.delete_provider_rate(id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  delete from data.provider_rate r where r.id = delete_provider_rate.id;
  if not found then
    perform app.raise_error('provider_rate_not_found');
  end if;
end
$$;
revoke all on function api.delete_provider_rate(uuid) from public;
grant execute on function api.delete_provider_rate(uuid) to platform_admin;
comment on function api.delete_provider_rate(uuid) is
$$Deletes a wholesale price that is not yet in force.

id: the rate's id. Errors: provider_rate_not_found, rate_in_force.$$;
