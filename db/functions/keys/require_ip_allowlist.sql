create or replace function app.require_ip_allowlist(addresses text[]) returns cidr[]
language plpgsql immutable
set search_path = ''
as $$
begin
  if addresses is null then
    return null;
  elsif cardinality(addresses) not between 1 and 100 or array_ndims(addresses) <> 1 then
    perform app.raise_error('invalid_ip_allowlist', 'List 1 to 100 addresses; null allows all.');
  elsif exists (
    select from unnest(addresses) as listed (address)
    where listed.address is null or not pg_input_is_valid(listed.address, 'inet')
  ) then
    perform app.raise_error('invalid_ip_allowlist');
  elsif exists (
    select from unnest(addresses) as listed (address)
    where host(listed.address::inet) <> host(network(listed.address::inet))
  ) then
    perform app.raise_error('invalid_ip_allowlist', 'A network has no bits behind its mask: 10.0.0.0/8, not 10.0.0.1/8.');
  elsif exists (
    select from unnest(addresses) as listed (address)
    where listed.address::inet operator(pg_catalog.<<=) '::ffff:0.0.0.0/96'::inet
  ) then
    perform app.raise_error('invalid_ip_allowlist', 'Write IPv4 addresses as such, not mapped into IPv6.');
  end if;
  return (select array_agg(distinct network(listed.address::inet)) from unnest(addresses) as listed (address));
end
$$;
revoke all on function app.require_ip_allowlist(text[]) from public;
comment on function app.require_ip_allowlist(text[]) is
$$Networks that calls may come from, as they are stored: sorted, each once, a single address as /32 or /128. Null allows all.

A network with bits behind its mask is refused, for it could mean the address as well as the network.
Errors: invalid_ip_allowlist.$$;
