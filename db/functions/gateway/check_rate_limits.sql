create or replace function app.check_rate_limits(key_ids uuid[], rate_limits jsonb, tokens bigint, moment timestamptz,
  out headers jsonb, out requests_left bigint, out tokens_left bigint)
language plpgsql volatile
set search_path = ''
as $$
declare
  v_rpm bigint := (rate_limits ->> 'rpm')::bigint;
  v_tpm bigint := (rate_limits ->> 'tpm')::bigint;
  v_used_requests bigint;
  v_used_tokens bigint;
  v_wait interval;
begin
  headers := '{}';
  if v_rpm is null and v_tpm is null then
    return;
  end if;
  select coalesce(sum(g.requests), 0), coalesce(sum(g.tokens), 0) into v_used_requests, v_used_tokens
  from data.request_grant g
  where g.key_id = any (key_ids) and g.usable_until > moment - interval '1 minute';

  if v_used_requests + 1 > v_rpm or v_used_tokens > 0 and v_used_tokens + tokens > v_tpm then
    -- Until enough of the window has passed for both limits.
    select min(freed.usable_until) + interval '1 minute' - moment into v_wait
    from (
      select g.usable_until, sum(g.requests) over passed as requests, sum(g.tokens) over passed as tokens
      from data.request_grant g
      where g.key_id = any (key_ids) and g.usable_until > moment - interval '1 minute'
      window passed as (order by g.usable_until, g.id)
    ) freed
    where (v_rpm is null or v_used_requests - freed.requests + 1 <= v_rpm)
      and (v_tpm is null or v_used_tokens - freed.tokens = 0 or v_used_tokens - freed.tokens + check_rate_limits.tokens <= v_tpm);
    headers := headers || jsonb_build_object('Retry-After', greatest(1, ceil(extract(epoch from coalesce(v_wait, interval '1 minute'))))::text);
  else
    v_used_requests := v_used_requests + 1;
    v_used_tokens := v_used_tokens + tokens;
  end if;

  requests_left := v_rpm - v_used_requests;
  tokens_left := v_tpm - v_used_tokens;
  if v_rpm is not null then
    headers := headers || jsonb_build_object(
      'x-ratelimit-limit-requests', v_rpm::text,
      'x-ratelimit-remaining-requests', greatest(0, requests_left)::text);
  end if;
  if v_tpm is not null then
    headers := headers || jsonb_build_object(
      'x-ratelimit-limit-tokens', v_tpm::text,
      'x-ratelimit-remaining-tokens', greatest(0, tokens_left)::text);
  end if;
  if headers ? 'Retry-After' then
    perform app.raise_error('rate_limit_exceeded', null, headers);
  end if;
end
$$;
revoke all on function app.check_rate_limits(uuid[], jsonb, bigint, timestamptz) from public;
comment on function app.check_rate_limits(uuid[], jsonb, bigint, timestamptz) is
$$Refuses a call beyond a limit over the last minute, counted from the keys' grants: of a key, or of all keys of a member of a tenant.

key_ids: the keys that share the limits; what holds the limits must be locked. rate_limits: {"rpm", "tpm"}. tokens: estimate of the call's tokens, corrected to the real ones when its usage is recorded. A call that alone exceeds
the token limit is admitted when the window is empty: refused, it could never be made.
The calls of a lease count from when the last of them may begin. Returns the x-ratelimit headers and what is left beside this call;
null: no limit. Errors: rate_limit_exceeded, with Retry-After in seconds.$$;
