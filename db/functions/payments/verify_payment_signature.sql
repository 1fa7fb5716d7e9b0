create or replace function app.verify_payment_signature(channel data.payment_channel, signature text, body text) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_timestamp text := substring(signature from '(?:^|,)\s*t=(\d{1,12})(?:,|$)');
  v_expected bytea;
  v_nonce bytea := extensions.gen_random_bytes(32);
  v_matches integer;
begin
  if v_timestamp is null then
    perform app.raise_error('invalid_payment_signature');
  end if;
  v_expected := extensions.hmac(convert_to(v_timestamp || '.' || body, 'UTF8'),
    convert_to(app.decrypt_secret(channel.encrypted_secret), 'UTF8'), 'sha256');
  -- There are two while a secret is being replaced. Comparing under a key of the moment tells nothing by how long it takes.
  select count(*) into strict v_matches
  from regexp_matches(signature, '(?:^|,)\s*v1=([0-9a-f]{64})(?=,|\s|$)', 'g') as given (match)
  where extensions.hmac(decode(given.match[1], 'hex'), v_nonce, 'sha256') = extensions.hmac(v_expected, v_nonce, 'sha256');
  if v_matches = 0 then
    perform app.raise_error('invalid_payment_signature');
  elsif abs(extract(epoch from app.now()) - v_timestamp::numeric) > app.setting('payment_signature_seconds')::numeric then
    perform app.raise_error('payment_signature_expired');
  end if;
end
$$;
revoke all on function app.verify_payment_signature(data.payment_channel, text, text) from public;
comment on function app.verify_payment_signature(data.payment_channel, text, text) is
$$Passes when the channel signed this body now: signature is "t=<Unix seconds>,v1=<hex HMAC-SHA256 of t.body>", as Stripe does it.

body: as it came, to the byte. Errors: invalid_payment_signature, payment_signature_expired (setting payment_signature_seconds).$$;
