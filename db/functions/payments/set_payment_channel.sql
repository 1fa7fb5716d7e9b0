create or replace function api.set_payment_channel(name text, kind text, secret text default null, pay_url text default null, is_active boolean default true)
returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_channel data.payment_channel;
begin
  select c.* into v_channel from data.payment_channel c where c.name = set_payment_channel.name for no key update;
  if set_payment_channel.name is null or set_payment_channel.name !~ '^[a-z][a-z0-9_-]{0,39}$' then
    perform app.raise_error('invalid_payment_channel', 'The name has 1 to 40 lower-case letters, digits, hyphens and underscores.');
  elsif coalesce(set_payment_channel.kind not in ('stripe', 'signed'), true) or set_payment_channel.kind <> v_channel.kind then
    perform app.raise_error('invalid_payment_channel', 'The kind is stripe or signed, and stays what it is.');
  elsif (set_payment_channel.kind = 'stripe') <> (set_payment_channel.name = 'stripe') then
    perform app.raise_error('invalid_payment_channel', 'Stripe''s channel, and it alone, is named stripe.');
  elsif (set_payment_channel.kind = 'signed') <> coalesce(set_payment_channel.pay_url ~ '^https?://[!-~]+$' and length(set_payment_channel.pay_url) <= 1000, false)
    or set_payment_channel.kind = 'stripe' and set_payment_channel.pay_url is not null
  then
    perform app.raise_error('invalid_payment_channel', 'A signed channel has a pay_url, an http or https URL; Stripe has none.');
  elsif coalesce(set_payment_channel.secret !~ '^[!-~]+$' or length(set_payment_channel.secret) not between 16 and 500, v_channel.name is null) then
    perform app.raise_error('invalid_payment_channel', 'The secret has 16 to 500 printable ASCII characters and no spaces.');
  elsif set_payment_channel.is_active is null then
    perform app.raise_error('invalid_payment_channel', 'is_active is true or false.');
  end if;

  insert into data.payment_channel as c (name, kind, encrypted_secret, pay_url, is_active, created_at)
  values (set_payment_channel.name, set_payment_channel.kind,
    case when set_payment_channel.secret is null then v_channel.encrypted_secret else app.encrypt_secret(set_payment_channel.secret) end,
    set_payment_channel.pay_url, set_payment_channel.is_active, app.now())
  on conflict on constraint payment_channel_pkey do update
  set encrypted_secret = excluded.encrypted_secret, pay_url = excluded.pay_url, is_active = excluded.is_active
  returning c.* into v_channel;
  return json_build_object('name', v_channel.name, 'kind', v_channel.kind, 'pay_url', v_channel.pay_url, 'is_active', v_channel.is_active,
    'created_at', v_channel.created_at);
end
$$;
revoke all on function api.set_payment_channel(text, text, text, text, boolean) from public;
grant execute on function api.set_payment_channel(text, text, text, text, boolean) to platform_admin;
comment on function api.set_payment_channel(text, text, text, text, boolean) is
$$Sets up a payment channel, or changes it.

kind: stripe, or signed for a gateway behind a bridge of your own. secret: what its notices are signed with (Stripe: the endpoint's whsec_…);
write-only, null keeps the one there is. pay_url: of a signed channel, where the customer pays; {order_id}, {amount} and {currency} are filled in.
is_active: whether new orders may use it. Returns {name, kind, pay_url, is_active, created_at}. Errors: invalid_payment_channel, master_key_missing.$$;
