begin;
select plan(15);

select tests.create_user('alice');
select tests.route_model('m');
select tests.create_key('rpm', 'alice', rate_limits => '{"rpm": 3}');
select tests.create_key('tpm', 'alice', rate_limits => '{"tpm": 100}');

create function pg_temp.error_header(statement text, header text) returns text language plpgsql as $$
declare
  v_detail text;
begin
  execute statement;
  return null;
exception when sqlstate 'PGRST' then
  get stacked diagnostics v_detail = pg_exception_detail;
  return v_detail::json -> 'headers' ->> header;
end $$;

-- Requests per minute, over a sliding window.
select tests.set_now('2026-03-10 12:00:00+00');
select is(tests.authorize('rpm', 'm') #>> '{headers,x-ratelimit-limit-requests}', '3', 'the limit is told');
select tests.set_now('2026-03-10 12:00:20+00');
select is(tests.authorize('rpm', 'm') #>> '{headers,x-ratelimit-remaining-requests}', '1', 'and what is left of it');
select is(tests.error_code($$select tests.authorize('rpm', 'm')$$), null, 'the third of three');
select is(tests.error_code($$select tests.authorize('rpm', 'm')$$), 'rate_limit_exceeded', 'the fourth');
select is(pg_temp.error_header($$select tests.authorize('rpm', 'm')$$, 'Retry-After'), '40', 'may come when the first has left the window');
select is(pg_temp.error_header($$select tests.authorize('rpm', 'm')$$, 'x-ratelimit-remaining-requests'), '0', 'nothing is left until then');
select tests.set_now('2026-03-10 12:00:59.9+00');
select is(tests.error_code($$select tests.authorize('rpm', 'm')$$), 'rate_limit_exceeded', 'not a moment before');
select tests.set_now('2026-03-10 12:01:00+00');
select is(tests.error_code($$select tests.authorize('rpm', 'm')$$), null, 'one place after a minute');
select is(tests.error_code($$select tests.authorize('rpm', 'm')$$), 'rate_limit_exceeded', 'and no more than one: the window slides');

-- Tokens per minute: reserved as estimated, corrected as used.
create temp table granted on commit drop as select tests.authorize('tpm', 'm', 20, 60) as response;
select is((select response #>> '{headers,x-ratelimit-remaining-tokens}' from granted), '20', 'the estimate is reserved');
select is(tests.error_code($$select tests.authorize('tpm', 'm', 11, 10)$$), 'rate_limit_exceeded', 'what does not fit beside it is refused');
select is(pg_temp.error_header($$select tests.authorize('tpm', 'm', 11, 10)$$, 'Retry-After'), '60', 'until it leaves the window');
select api.record_usage((select jsonb_build_array(tests.usage_event(response, 20, 5)) from granted));
select is(tests.authorize('tpm', 'm', 11, 10) #>> '{headers,x-ratelimit-remaining-tokens}', '54', 'real usage takes the estimate''s place');
select tests.set_now('2026-03-10 12:05:00+00');
select is(tests.error_code($$select tests.authorize('tpm', 'm', 500, 0)$$), null, 'a call beyond the limit by itself passes an empty window');
select is(tests.error_code($$select tests.authorize('tpm', 'm', 1, 0)$$), 'rate_limit_exceeded', 'and fills it');

select * from finish();
rollback;
