create or replace function app.is_private_address(address inet) returns boolean
language sql immutable
set search_path = ''
as $$
  select case family(address)
    when 4 then address <<= any (array[
      '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24',
      '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4']::inet[])
    -- Global unicast only, without the networks in it that lead elsewhere: Teredo and others, documentation, 6to4.
    else not address <<= '2000::/3' or address <<= any (array['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']::inet[])
  end;
$$;
revoke all on function app.is_private_address(inet) from public;
grant execute on function app.is_private_address(inet) to auth_owner;
comment on function app.is_private_address(inet) is
$$Whether an address is not one of the public internet: private, loopback, link-local, metadata, multicast, reserved.

jobs/addresses.ts holds the same list, for the addresses that names lead to.$$;
