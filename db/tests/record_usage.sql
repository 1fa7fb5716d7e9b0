begin;
select plan(38);

select tests.create_user('alice', balance => 10);
select tests.create_user('member', balance => 0);
select tests.create_user('bob', balance => 10);
update data.user_profile set payer_id = tests.user_id('alice') where user_id = tests.user_id('member');
select tests.create_key('alice', 'alice');
select tests.create_key('member', 'member');
select tests.create_key('bob', 'bob');
-- 1 CNY per thousand input tokens, 2 per thousand output tokens, at no markup.
update data.markup_rule set percent = 0 where tenant_id is null and user_id is null and model is null;
select tests.route_model('m', input_rate => 1000, output_rate => 2000);
select tests.route_model('m', provider => 'backup', target_position => 2, input_rate => 3000, output_rate => 3000);

create temp table call (name text primary key, granted json, event jsonb, result json) on commit drop;
grant all on call to public;
insert into call (name, granted) select 'first', tests.authorize('alice', 'm', 500, 500);
update call set event = tests.usage_event(granted, 1000, 500) where name = 'first';

-- One call.
select tests.authenticate_as_gateway();
update call set result = api.record_usage(jsonb_build_array(event)) where name = 'first';
select tests.clear_authentication();
select is((select result #>> '{events,0,charge}' from call), '2.0000000000', 'the charge is told as a string of ten decimals');
select is((select result #>> '{events,0,balance}' from call), '8.0000000000', 'and the balance');
select is((select result #>> '{events,0,status}' from call), 'active', 'and the account''s status');
select is((select result #>> '{events,0,result}' from call), 'recorded', 'and that it is new');
select is(tests.balance('alice'), 8.0, 'the balance has paid');
select is((select (kind, amount, balance_after, currency)::text from data.ledger_entry where user_id = tests.user_id('alice') and kind = 'usage'),
  '(usage,-2.0000000000,8.0000000000,CNY)', 'the ledger has one entry');
select is((select (provider, upstream_model, input_tokens, output_tokens, cost, cost_currency, charge, currency, status, ledger_entry_id is not null)::text
  from data.usage_log where user_id = tests.user_id('alice')),
  '(testai,m,1000,500,2.0000000000,CNY,2.0000000000,CNY,ok,t)', 'the usage log has wholesale and retail price');
select is((select created_at from data.usage_log where user_id = tests.user_id('alice')),
  (select uuid_extract_timestamp((event ->> 'request_id')::uuid) from call where name = 'first'), 'under the time within the request id');
select is((select amount from data.request_grant where user_id = tests.user_id('alice')), 0.0, 'the hold is released');
select isnt((select last_used_at from data.virtual_key where name = 'alice'), null, 'the key knows when it was last used');

-- Again.
update call set result = api.record_usage(jsonb_build_array(event)) where name = 'first';
select is((select result #>> '{events,0,result}' from call where name = 'first'), 'duplicate', 'recording a call again is noticed');
select is((select result #>> '{events,0,charge}' from call where name = 'first'), '2.0000000000', 'answers what it was charged');
select is(tests.balance('alice'), 8.0, 'and charges nothing');
select is((select settled_requests from data.request_grant where user_id = tests.user_id('alice')), 1, 'and settles nothing');

-- A batch: two payers, one of them for two users, an event that stands in it twice, a grant nobody knows.
insert into call (name, granted) values
  ('a', tests.authorize('alice', 'm')), ('b', tests.authorize('member', 'm')), ('c', tests.authorize('bob', 'm')),
  ('x', json_build_object('grant_id', uuidv7()));
update call set event = tests.usage_event(granted, 100, 50) where name in ('a', 'b', 'c', 'x');
insert into call (name, event) select 'a again', event from call where name = 'a';
create temp table batch on commit drop as
  select api.record_usage(jsonb_agg(event order by name)) as result from call where name in ('a', 'a again', 'b', 'c', 'x');
select is((select json_agg(e ->> 'result')::text from batch, json_array_elements(result -> 'events') e),
  '["recorded", "recorded", "recorded", "recorded", "unknown_grant"]', 'each event has its result');
select is(tests.balance('alice'), 7.6, 'the payer pays for two calls in the batch, not three');
select is(tests.balance('member'), 0.0, 'who is paid for pays nothing');
select is(tests.balance('bob'), 9.8, 'the other payer pays its own');
select is((select count(*) from data.ledger_entry where user_id = tests.user_id('alice') and kind = 'usage'), 2::bigint, 'one ledger entry per payer and batch');
select is_empty($$
  select l.id from data.ledger_entry l join data.usage_log u on u.ledger_entry_id = l.id group by l.id, l.amount having -l.amount <> sum(u.charge)
$$, 'every entry is the sum of its calls');

-- What is not charged.
insert into call (name, granted) values ('error', tests.authorize('bob', 'm', 100, 100));
select api.record_usage(jsonb_build_array(tests.usage_event(granted, 100, 100, '{"status": "error", "target_index": null, "http_status": 502}')))
from call where name = 'error';
select is(tests.balance('bob'), 9.8, 'a call that no provider answered is not charged');
select is((select amount from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from call where name = 'error')), 0.0, 'and its hold is released');
select is((select (status, cost, charge, provider)::text from data.usage_log where status = 'error'), '(error,0.0000000000,0.0000000000,)', 'but it is logged');

-- The provider that served sets the price.
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('bob', 'm'), 100, 0, '{"target_index": 1}')));
select is(tests.balance('bob'), 9.5, 'served by the backup: its price');

-- The price is fixed at authorisation.
insert into call (name, granted) values ('fixed', tests.authorize('bob', 'm'));
insert into data.provider_rate (provider, model, input_rate, output_rate, currency) values ('testai', 'm', 9000, 9000, 'CNY');
update data.markup_rule set percent = 100 where tenant_id is null and user_id is null and model is null;
select api.record_usage(jsonb_build_array(tests.usage_event(granted, 100, 0))) from call where name = 'fixed';
select is(tests.balance('bob'), 9.4, 'a new price and a new markup do not touch calls that were admitted before');
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('bob', 'm'), 100, 0)));
select is(tests.balance('bob'), 7.6, 'the next call has them');

-- Status.
select ok((api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('bob', 'm'), 1000, 0))) -> 'dropped_keys')::jsonb
  @> to_jsonb((select id from data.virtual_key where name = 'bob')), 'the last of the balance: the key''s grants must be dropped');
select is(tests.balance('bob'), -10.4, 'the balance may go below zero');
select is(tests.status('bob'), 'overdue', 'which makes the account overdue');
select is((select (old_status, new_status)::text from data.status_log where user_id = tests.user_id('bob')), '(active,overdue)', 'and is written down');
select is((select count(*) from graphile_worker._private_jobs j where j.payload ->> 'event' = 'account.overdue'
  and j.payload ->> 'user_id' = tests.user_id('bob')::text), 1::bigint, 'and a notification is queued');
update data.user_profile set low_balance_threshold = 7.5 where user_id = tests.user_id('alice');
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'm'), 10, 0)));
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'm'), 10, 0)));
select is((select count(*) from graphile_worker._private_jobs j where j.payload ->> 'event' = 'account.low_balance'
  and j.payload ->> 'user_id' = tests.user_id('alice')::text), 1::bigint, 'a low balance is told once per crossing');

-- Events that are not valid: all or nothing.
insert into call (name, granted) values ('bad', tests.authorize('alice', 'm'));
select is((select string_agg(coalesce(tests.error_code(format('select api.record_usage(%L)',
    jsonb_build_array(tests.usage_event(granted, 1, 1), tests.usage_event(granted, 1, 1, changes)))), 'none'), ',')
  from call, unnest(array[
    '{"request_id": "c0ffee00-0000-4000-8000-000000000000"}', '{"request_id": "x"}', '{"status": "fine"}', '{"status": null}',
    '{"input_tokens": -1}', '{"cached_input_tokens": 2}', '{"reasoning_tokens": 2}', '{"output_tokens": 1.5}',
    '{"output_tokens": 1e30}', '{"grant_id": null}', '{"target_index": -1}', '{"latency_ms": -1}']::jsonb[]) as changes
  where name = 'bad'),
  rtrim(repeat('invalid_usage_event,', 12), ','), 'events that are not valid are refused');
select is((select string_agg(tests.error_code(format('select api.record_usage(%L)', events)), ',')
  from unnest(array['{}', '"x"', 'null', '[1]']::jsonb[]) as events),
  rtrim(repeat('invalid_usage_event,', 4), ','), 'as is what is no array of events');
select is((select settled_requests from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from call where name = 'bad')), 0,
  'and nothing of their batch is recorded');
select is((select sum(l.amount) - p.balance from data.ledger_entry l join data.user_profile p using (user_id)
  where p.user_id = tests.user_id('alice') group by p.balance), 0.0, 'a balance is the sum of its ledger entries');
select is(api.record_usage('[]')::text, '{"events" : [], "dropped_keys" : []}', 'no events, no result');

select tests.authenticate_as('alice');
select throws_ok($$select api.record_usage('[]')$$, '42501', null, 'a customer may not record usage');

select * from finish();
rollback;
