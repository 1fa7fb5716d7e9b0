create or replace function app.return_permits(permits jsonb, payer_id uuid) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  update data.request_grant g
  set requests = g.requests - returned.requests,
    grace_requests = least(g.grace_requests, g.requests - returned.requests),
    amount = case when g.settled_requests + returned.requests >= g.requests then 0
      else g.amount - returned.requests * g.amount_per_request end,
    tokens = greatest(0, g.tokens - greatest(0, returned.requests - g.grace_requests) * g.tokens_per_request)
  from (
    select r.grant_id, sum(r.requests)::integer as requests
    from jsonb_to_recordset(permits) as r (grant_id uuid, requests integer)
    where r.requests > 0
    group by r.grant_id
  ) returned
  where g.id = returned.grant_id
    and g.payer_id = return_permits.payer_id
    -- One call was made or the grant would not have been asked for; a grant never falls below what it has settled.
    and returned.requests < g.requests
    and returned.requests <= g.requests - g.settled_requests;
exception when invalid_text_representation or numeric_value_out_of_range or invalid_parameter_value or datatype_mismatch then
  perform app.raise_error('invalid_request');
end
$$;
revoke all on function app.return_permits(jsonb, uuid) from public;
comment on function app.return_permits(jsonb, uuid) is
$$Gives back the calls of leases that were not begun: what they held, and their place in the rate limits. The payer's row must be locked.

permits: [{grant_id, requests}]. payer_id: whose grants they are; others are left alone. Errors: invalid_request.$$;
