create or replace function app.client_network() returns inet
language sql stable
set search_path = ''
as $$
  select case family(request.address) when 4 then request.address when 6 then network(set_masklen(request.address, 64))::inet end
  from (select app.client_ip()) as request (address);
$$;
revoke all on function app.client_network() from public;
grant execute on function app.client_network() to auth_owner;
comment on function app.client_network() is
$$What counts as one place that requests come from: the IPv4 address, or the /64 of an IPv6 address, of which a client has all; null when unknown.$$;
