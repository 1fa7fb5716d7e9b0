create or replace function api.return_permits(permits jsonb) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_payer uuid;
begin
  for v_payer in
    select p.user_id
    from data.user_profile p
    where p.user_id in (
      select g.payer_id
      from data.request_grant g
      where g.id in (select r.grant_id from jsonb_to_recordset(return_permits.permits) as r (grant_id uuid)))
    order by p.user_id
    for no key update
  loop
    perform app.return_permits(return_permits.permits, v_payer);
  end loop;
exception when invalid_text_representation or invalid_parameter_value or datatype_mismatch then
  perform app.raise_error('invalid_request');
end
$$;
revoke all on function api.return_permits(jsonb) from public;
grant execute on function api.return_permits(jsonb) to gateway;
comment on function api.return_permits(jsonb) is
$$Gives back the calls of leases that were not begun, when no other authorisation takes them along.

permits: [{grant_id, requests}]. Errors: invalid_request.$$;
