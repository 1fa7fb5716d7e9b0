create or replace function app.encrypt_with_master_key(secret text) returns bytea
language sql volatile
set search_path = ''
as $$
  -- The master key is random, so that stretching it would cost every call time and add nothing.
  select extensions.pgp_sym_encrypt(secret, app.master_key(), 'cipher-algo=aes256, s2k-mode=1, compress-algo=0');
$$;
revoke all on function app.encrypt_with_master_key(text) from public;
comment on function app.encrypt_with_master_key(text) is
$$A secret as an OpenPGP message (AES-256), whatever the master key. Errors: master_key_missing.$$;
