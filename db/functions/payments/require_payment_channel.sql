create or replace function app.require_payment_channel(name text) returns data.payment_channel
language plpgsql stable
set search_path = ''
as $$
declare
  v_channel data.payment_channel;
begin
  select c.* into v_channel from data.payment_channel c where c.name = require_payment_channel.name and c.is_active;
  if not found then
    perform app.raise_error('payment_channel_not_found');
  end if;
  return v_channel;
end
$$;
revoke all on function app.require_payment_channel(text) from public;
comment on function app.require_payment_channel(text) is
$$A channel that new orders may use. Errors: payment_channel_not_found.$$;
