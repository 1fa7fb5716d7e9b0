create or replace function app.decrypt_secret(encrypted_secret bytea) returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return extensions.pgp_sym_decrypt(encrypted_secret, app.master_key());
exception when external_routine_invocation_exception then
  perform app.raise_error('master_key_mismatch');
end
$$;
revoke all on function app.decrypt_secret(bytea) from public;
comment on function app.decrypt_secret(bytea) is
$$The secret that app.encrypt_secret encrypted. Errors: master_key_missing, master_key_mismatch.$$;
