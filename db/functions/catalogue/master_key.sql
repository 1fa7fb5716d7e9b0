create or replace function app.master_key() returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_master_key text := nullif(current_setting('app.settings.master_key', true), '');
begin
  if v_master_key is null then
    perform app.raise_error('master_key_missing');
  end if;
  return v_master_key;
end
$$;
revoke all on function app.master_key() from public;
comment on function app.master_key() is
$$The key that the platform's secrets are encrypted with. PostgREST hands it over; it is not in the database. Errors: master_key_missing.$$;
