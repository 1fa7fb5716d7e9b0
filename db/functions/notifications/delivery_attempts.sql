create or replace function app.delivery_attempts() returns integer
language sql immutable parallel safe
set search_path = ''
-- graphile-worker waits e^n seconds after the n-th attempt, at most e^10: the 14th comes after 28 hours.
return 14;
revoke all on function app.delivery_attempts() from public;
comment on function app.delivery_attempts() is
$$How often a mail or a webhook is tried, over a little more than a day, before it is given up.$$;
