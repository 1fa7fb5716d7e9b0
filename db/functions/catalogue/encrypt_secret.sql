create or replace function app.encrypt_secret(secret text) returns bytea
language plpgsql volatile
set search_path = ''
as $$
declare
  v_proof bytea;
begin
  -- Whoever was not told yet of another master key must not store what nobody could decrypt. A rotation locks the tables that
  -- secrets are stored in, and so comes before or after the statement that asks here.
  select m.encrypted_proof into v_proof from data.master_key_proof m;
  if found then
    perform app.decrypt_secret(v_proof);
  else
    insert into data.master_key_proof (encrypted_proof) values (app.encrypt_with_master_key('')) on conflict do nothing;
  end if;
  return app.encrypt_with_master_key(secret);
end
$$;
revoke all on function app.encrypt_secret(text) from public;
comment on function app.encrypt_secret(text) is
$$A secret as it is stored: encrypted under the master key, if that is the one of all other secrets.

To be called by the statement that stores it. Errors: master_key_missing, master_key_mismatch.$$;
