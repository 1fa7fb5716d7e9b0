create or replace function app.generate_virtual_key() returns text
language plpgsql volatile
set search_path = ''
as $$
declare
  v_alphabet constant text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  v_bytes bytea;
  v_secret text := '';
begin
  while length(v_secret) < 32 loop
    v_bytes := extensions.gen_random_bytes(48);
    -- 248 is the highest multiple of 62 in a byte: the bytes above it would make some characters likelier.
    select v_secret || coalesce(string_agg(substr(v_alphabet, get_byte(v_bytes, i) % 62 + 1, 1), ''), '') into v_secret
    from generate_series(0, length(v_bytes) - 1) as i
    where get_byte(v_bytes, i) < 248;
  end loop;
  return 'vk_' || left(v_secret, 32);
end
$$;
revoke all on function app.generate_virtual_key() from public;
comment on function app.generate_virtual_key() is
$$A new virtual key: vk_ and 32 random characters of 0-9, A-Z, a-z, all equally likely (190 bits).$$;
