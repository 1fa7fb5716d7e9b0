begin;
select plan(90);

select tests.create_tenant('globex', currency => 'JPY');
select tests.create_user('alice', balance => 0, status => 'pending');
select tests.create_user('bob');
select tests.create_user('yuki', tenant => 'globex');
select tests.create_user('root', role => 'platform_admin', balance => 0, status => 'pending');
select set_config('app.settings.master_key', 'a master key for tests', true);
select tests.set_now('2026-03-10 12:00:00+00');

create function pg_temp.sign(body text, secret text, moment timestamptz default '2026-03-10 12:00:00+00') returns text language sql as $$
  select format('t=%s,v1=%s', s.t, encode(extensions.hmac(s.t || '.' || body, secret, 'sha256'), 'hex'))
  from (select extract(epoch from moment)::bigint::text as t) s;
$$;
-- What the webhook answers: the result, or the code of its error. Called anonymously, as gateways do.
create function pg_temp.deliver(webhook text, body text, headers json) returns text language plpgsql as $$
declare v_result text; v_before text := current_setting('request.jwt.claims', true); v_role text := current_setting('role');
begin
  perform tests.authenticate_as_anonymous();
  perform set_config('request.headers', headers::text, true);
  begin
    execute format('select api.%I(%L::json) ->> ''result''', webhook, body) into v_result;
  exception when sqlstate 'PGRST' then v_result := sqlerrm::json ->> 'code';
  end;
  perform tests.clear_authentication();
  return v_result;
end $$;
create function pg_temp.stripe(body text, signature text default null) returns text language sql as $$
  select pg_temp.deliver('stripe_webhook', body, json_build_object('stripe-signature', coalesce(signature, pg_temp.sign(body, 'whsec_0123456789abcdef'))));
$$;
create function pg_temp.bridge(body json, signature text default null) returns text language sql as $$
  select pg_temp.deliver('payment_webhook', body::text, json_build_object('payment-channel', 'alipay',
    'payment-signature', coalesce(signature, pg_temp.sign(body::text, 'a secret of the bridge'))));
$$;
create function pg_temp.session_event(event_id text, type text, order_id text, changes jsonb default '{}') returns text language sql as $$
  select jsonb_build_object('id', event_id, 'type', type, 'data', jsonb_build_object('object', jsonb_build_object('id', 'cs_1',
    'client_reference_id', order_id, 'payment_intent', 'pi_' || order_id, 'payment_status', 'paid', 'amount_total', 5050, 'currency', 'cny') || changes))::text;
$$;
create function pg_temp.charge_event(event_id text, type text, object jsonb) returns text language sql as $$
  select jsonb_build_object('id', event_id, 'type', type, 'data', jsonb_build_object('object', object))::text;
$$;

-- Channels.
select tests.authenticate_as('root');
select is(tests.error_code($$select api.set_payment_channel('stripe', 'stripe', 'short')$$), 'invalid_payment_channel', 'a secret has 16 characters or more');
select is(tests.error_code($$select api.set_payment_channel('stripe', 'stripe')$$), 'invalid_payment_channel', 'a new channel has a secret');
select is(tests.error_code($$select api.set_payment_channel('alipay', 'stripe', 'whsec_0123456789abcdef')$$), 'invalid_payment_channel', 'Stripe''s channel is named stripe');
select is(tests.error_code($$select api.set_payment_channel('alipay', 'signed', 'whsec_0123456789abcdef')$$), 'invalid_payment_channel', 'a signed channel has a pay_url');
select is(tests.error_code($$select api.set_payment_channel('alipay', 'signed', 'whsec_0123456789abcdef', 'javascript:x')$$), 'invalid_payment_channel', 'which is http or https');
select is(api.set_payment_channel('stripe', 'stripe', 'whsec_0123456789abcdef') ->> 'kind', 'stripe', 'Stripe is set up');
select is(api.set_payment_channel('alipay', 'signed', 'asecretofthebridge', 'https://pay.example/{order_id}?a={amount}&c={currency}') ->> 'is_active', 'true', 'so is a bridge');
select tests.clear_authentication();
update data.payment_channel set encrypted_secret = app.encrypt_secret('a secret of the bridge') where name = 'alipay';
select is((select count(*) from data.audit_log where subject = 'payment_channel' and after::text like '%encrypted%'), 0::bigint, 'no secret in the audit log');

-- Orders.
select tests.authenticate_as('alice');
select results_eq('select name, kind from api.payment_channel order by name', $$values ('alipay', 'signed'), ('stripe', 'stripe')$$, 'customers see the channels');
select throws_ok('select encrypted_secret from data.payment_channel', '42501', null, 'but no secret');
select is(tests.error_code($$select api.create_payment_order(9.99)$$), 'invalid_top_up_amount', 'an order has a minimum');
select is(tests.error_code($$select api.create_payment_order(50000.01)$$), 'invalid_top_up_amount', 'and a maximum');
select is(tests.error_code($$select api.create_payment_order(10.001)$$), 'invalid_top_up_amount', 'and whole smallest units');
select is(tests.error_code($$select api.create_payment_order('NaN')$$), 'invalid_top_up_amount', 'and is a number');
select is(tests.error_code($$select api.create_payment_order(null)$$), 'invalid_top_up_amount', 'indeed');
select is(tests.error_code($$select api.create_payment_order(50, 'paypal')$$), 'payment_channel_not_found', 'through a channel that there is');
select set_config('tests.stripe_order', api.create_payment_order(50.50) ->> 'id', true);
select is((o ->> 'status') || ' ' || (o ->> 'pay_url'), 'ready https://pay.example/' || (o ->> 'id') || '?a=20.00&c=CNY',
  'an order through a bridge is to be paid at once, at its page'), set_config('tests.order', o ->> 'id', true) from api.create_payment_order(20, 'alipay') o;
select results_eq('select status, amount, pay_url from api.payment_order where channel = ''stripe''', $$values ('created', '50.5000000000', null::text)$$, 'Stripe''s waits for its page');
select tests.clear_authentication();
select is((select count(*) from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id
  where t.identifier = 'create_checkout_session' and j.payload ->> 'order_id' = current_setting('tests.stripe_order')), 1::bigint, 'which the worker makes');
select is(app.checkout_session_order(current_setting('tests.stripe_order')::uuid)::jsonb - 'order_id', '{"amount": "5050", "currency": "cny", "expires_at": 1773147600}', 'from this');
select app.store_checkout_session(current_setting('tests.stripe_order')::uuid, 'cs_1', 'https://checkout.stripe.test/cs_1');
select is((select status || ' ' || pay_url from data.payment_order where channel = 'stripe'), 'ready https://checkout.stripe.test/cs_1', 'and then it is ready');
select is(app.checkout_session_order(current_setting('tests.stripe_order')::uuid)::text, null, 'once');
select tests.authenticate_as('yuki');
select is(tests.error_code($$select api.create_payment_order(100.5)$$), 'invalid_top_up_amount', 'a yen has no parts');
select is(api.create_payment_order(100) ->> 'currency', 'JPY', 'orders are in the account''s currency');
select tests.clear_authentication();
select is(app.checkout_session_order(id) ->> 'amount', '100', 'and Stripe counts yen') from data.payment_order where currency = 'JPY';

-- Signatures.
select is(pg_temp.stripe(e, ''), 'invalid_payment_signature', 'no signature') from pg_temp.session_event('evt_0', 'x', null) e;
select is(pg_temp.stripe(e, pg_temp.sign(e, 'whsec_of_somebody_else')), 'invalid_payment_signature', 'another secret') from pg_temp.session_event('evt_0', 'x', null) e;
select is(pg_temp.stripe(e || ' ', pg_temp.sign(e, 'whsec_0123456789abcdef')), 'invalid_payment_signature', 'another body, by a space') from pg_temp.session_event('evt_0', 'x', null) e;
select is(pg_temp.stripe(e, pg_temp.sign(e, 'whsec_0123456789abcdef', '2026-03-10 11:54:59+00')), 'payment_signature_expired', 'too old') from pg_temp.session_event('evt_0', 'x', null) e;
select is(pg_temp.stripe(e, pg_temp.sign(e, 'whsec_0123456789abcdef', '2026-03-10 12:05:01+00')), 'payment_signature_expired', 'too new') from pg_temp.session_event('evt_0', 'x', null) e;
select is(pg_temp.stripe(e, replace(pg_temp.sign(e, 'whsec_0123456789abcdef'), 'v1=', 'v0=')), 'invalid_payment_signature', 'another scheme') from pg_temp.session_event('evt_0', 'x', null) e;
select is(pg_temp.stripe(e, replace(pg_temp.sign(e, 'whsec_0123456789abcdef'), 't=1773144000', 't=1773144001')), 'invalid_payment_signature', 'another time') from pg_temp.session_event('evt_0', 'x', null) e;
select is(pg_temp.stripe(e, pg_temp.sign(e, 'whsec_0123456789abcdef', '2026-03-10 11:55:00+00')), 'ignored', 'just new enough; what is not for us is noted') from pg_temp.session_event('evt_1', 'customer.created', null) e;
select is(pg_temp.stripe(e, replace(pg_temp.sign(e, 'whsec_0123456789abcdef'), ',v1=', ',v1=' || repeat('0', 64) || ',v1=')), 'ignored', 'one of two signatures is enough')
  from pg_temp.session_event('evt_2', 'customer.created', null) e;
select is(pg_temp.stripe('[]'), 'invalid_payment_event', 'a signed body that is no event');
select is(pg_temp.bridge('{}', ''), 'invalid_payment_signature', 'the bridge signs as well');
select is(pg_temp.deliver('payment_webhook', '{}', '{"payment-channel": "stripe"}'), 'payment_channel_not_found', 'Stripe does not come through the bridges'' door');
select is(pg_temp.deliver('payment_webhook', '{}', null), 'payment_channel_not_found', 'nor does nobody');

-- Payments through Stripe.
select is(pg_temp.stripe(pg_temp.session_event('evt_3', 'checkout.session.completed', current_setting('tests.stripe_order'), '{"payment_status": "unpaid"}')), 'ignored', 'a session that is still unpaid');
select is(pg_temp.stripe(pg_temp.session_event('evt_4', 'checkout.session.completed', current_setting('tests.stripe_order'), '{"amount_total": 5049}')), 'amount_mismatch', 'another amount');
select is(pg_temp.stripe(pg_temp.session_event('evt_5', 'checkout.session.completed', current_setting('tests.stripe_order'), '{"currency": "usd"}')), 'currency_mismatch', 'another currency');
select is(tests.balance('alice'), 0.0, 'none of them is booked');
select is((select count(*) from graphile_worker._private_jobs j where j.payload ->> 'event' = 'payment.rejected'), 2::bigint, 'and the platform''s admins are told of those that moved money');
select is(pg_temp.stripe(pg_temp.session_event('evt_6', 'checkout.session.completed', current_setting('tests.stripe_order'))), 'booked', 'the payment');
select is(tests.balance('alice') || ' ' || tests.status('alice'), '50.5000000000 active', 'is on the account, which is active');
select is((select status || ' ' || payment_reference from data.payment_order where channel = 'stripe' and currency = 'CNY'),
  'paid pi_' || current_setting('tests.stripe_order'), 'and the order is paid');
select is(pg_temp.stripe(pg_temp.session_event('evt_6', 'checkout.session.completed', current_setting('tests.stripe_order'))), 'duplicate', 'the same event again');
select is(pg_temp.stripe(pg_temp.session_event('evt_7', 'checkout.session.async_payment_succeeded', current_setting('tests.stripe_order'))), 'duplicate', 'the same payment in another event');
select is(pg_temp.stripe(pg_temp.session_event('evt_8', 'checkout.session.completed', current_setting('tests.stripe_order'), '{"payment_intent": "pi_other"}')), 'already_paid', 'a second payment');
select is(pg_temp.stripe(pg_temp.session_event('evt_9', 'checkout.session.expired', current_setting('tests.stripe_order'))), 'ignored', 'a paid order does not expire');
select is(pg_temp.stripe(pg_temp.session_event('evt_10', 'checkout.session.completed', gen_random_uuid()::text)), 'unknown_order', 'an order of nobody');
select is(tests.balance('alice'), 50.5, 'booked once');

-- Refunds and disputes.
create function pg_temp.charge(changes jsonb) returns jsonb language sql as $$
  select jsonb_build_object('id', 'ch_' || current_setting('tests.stripe_order'), 'payment_intent', 'pi_' || current_setting('tests.stripe_order'), 'currency', 'cny', 'metadata', jsonb_build_object('order_id', current_setting('tests.stripe_order'))) || changes;
$$;
select is(pg_temp.stripe(pg_temp.charge_event('evt_20', 'charge.refunded', pg_temp.charge('{"amount_refunded": 3000}'))), 'booked', 'a partial refund');
select is(pg_temp.stripe(pg_temp.charge_event('evt_21', 'charge.refunded', pg_temp.charge('{"amount_refunded": 1000}'))), 'duplicate', 'an earlier one that comes late is part of it');
select is(tests.balance('alice'), 20.5, 'is taken off the balance');
select is(pg_temp.stripe(pg_temp.charge_event('evt_22', 'charge.refunded', pg_temp.charge('{"amount_refunded": 5050}'))), 'booked', 'the rest');
select is(tests.balance('alice') || ' ' || tests.status('alice'), '0.0000000000 overdue', 'as well');
select is(pg_temp.stripe(pg_temp.charge_event('evt_23', 'charge.refunded', pg_temp.charge('{"amount_refunded": 6000}'))), 'amount_mismatch', 'not more than was paid');
select results_eq($$select kind, trim_scale(amount) from data.ledger_entry where user_id = tests.user_id('alice') order by id$$,
  $$values ('top_up', 50.5), ('adjustment', -30.0), ('adjustment', -20.5)$$, 'the ledger tells it all');

-- A bridge.
create function pg_temp.notice(id text, type text, changes jsonb default '{}') returns json language sql as $$
  select (jsonb_build_object('id', id, 'type', type, 'order_id', current_setting('tests.order'), 'payment_id', 'ali-1', 'amount', '20.00', 'currency', 'CNY') || changes)::json;
$$;
select is(pg_temp.bridge(pg_temp.notice('n1', 'payment.succeeded', '{"amount": "2e1"}')), 'invalid_payment_event', 'an amount is written out');
select tests.set_now('2026-03-10 13:00:01+00');
select is(app.expire_payment_orders(), 2, 'orders expire');
select is((select status from data.payment_order where id = current_setting('tests.order')::uuid), 'expired', 'that were not paid');
select tests.set_now('2026-03-10 12:00:00+00');
select is(pg_temp.bridge(pg_temp.notice('n3', 'payment.succeeded')), 'booked', 'who paid all the same gets the money');
select is(pg_temp.bridge(pg_temp.notice('n3', 'payment.succeeded')), 'duplicate', 'once');
select is(pg_temp.bridge(pg_temp.notice('n5', 'dispute.opened', '{"effect_id": "d1"}')), 'booked', 'a dispute takes the money back');
select is(pg_temp.bridge(pg_temp.notice('n6', 'dispute.opened', '{"effect_id": "d1"}')), 'duplicate', 'once, whatever the notice');
select is(tests.balance('alice'), 0.0, 'all of it');
select is(pg_temp.bridge(pg_temp.notice('n7', 'dispute.won', '{"effect_id": "d1"}')), 'booked', 'and one that was won brings it back');
select is(tests.balance('alice'), 20.0, 'to the last decimal');
select is(pg_temp.bridge(pg_temp.notice('n8', 'payment.succeeded', '{"payment_id": "ali-2"}')), 'already_paid', 'who pays twice');
select is(pg_temp.bridge(pg_temp.notice('n9', 'payment.refunded', '{"payment_id": "ali-2", "effect_id": "r9"}')), 'other_payment', 'and gets that back, loses nothing here');
select is(tests.balance('alice'), 20.0, 'indeed');

-- Before what they are about.
create function pg_temp.order_of(channel text, amount numeric) returns text language plpgsql as $$
declare v_id text;
begin
  perform tests.authenticate_as('alice');
  v_id := api.create_payment_order(amount, channel) ->> 'id';
  perform tests.clear_authentication();
  perform set_config('tests.order', v_id, true), set_config('tests.stripe_order', v_id, true);
  return v_id;
end $$;
select pg_temp.order_of('stripe', 50.50);
select is(pg_temp.stripe(pg_temp.charge_event('evt_30', 'charge.dispute.funds_reinstated', pg_temp.charge('{"id": "dp_1", "amount": 5050}') - 'metadata')), 'waiting', 'a dispute that was won, before it was opened');
select is(pg_temp.stripe(pg_temp.charge_event('evt_31', 'charge.dispute.funds_withdrawn', pg_temp.charge('{"id": "dp_1", "amount": 5050}') - 'metadata')), 'waiting', 'and opened, before the payment, which alone it knows');
select is(pg_temp.stripe(pg_temp.charge_event('evt_32', 'charge.refunded', pg_temp.charge('{"amount_refunded": 3000}'))), 'waiting', 'a refund, before the payment');
select is(pg_temp.stripe(pg_temp.charge_event('evt_32', 'charge.refunded', pg_temp.charge('{"amount_refunded": 3000}'))), 'duplicate', 'once');
select is(pg_temp.stripe(pg_temp.charge_event('evt_33', 'charge.refunded', pg_temp.charge('{"amount_refunded": 1000}'))), 'waiting', 'an earlier one');
select is(tests.balance('alice'), 20.0, 'none of them is booked');
select tests.set_now('2026-03-10 13:00:01+00');
select app.expire_payment_orders() from generate_series(1, 2);
select is((select count(*) from graphile_worker._private_jobs j where j.payload ->> 'event' = 'payment.rejected' and j.payload #>> '{payload,outcome}' = 'waiting'), 2::bigint, 'after an hour admins are told of those of an order, once');
select is(pg_temp.stripe(e, pg_temp.sign(e, 'whsec_0123456789abcdef', '2026-03-10 13:00:01+00')), 'booked', 'the payment')
  from pg_temp.session_event('evt_34', 'checkout.session.completed', current_setting('tests.stripe_order')) e;
select is(tests.balance('alice'), 40.5, 'and all of them with it');
select results_eq($$select event_id, outcome from data.payment_event where event_id between 'evt_30' and 'evt_34' order by event_id$$,
  $$values ('evt_30', 'booked'), ('evt_31', 'booked'), ('evt_32', 'booked'), ('evt_33', 'duplicate'), ('evt_34', 'booked')$$, 'each once');
select is((select string_agg(j.payload ->> 'event' || ' ' || (j.payload #>> '{payload,amount}'), ', ' order by j.payload ->> 'event') from graphile_worker._private_jobs j
  where j.payload #>> '{payload,order_id}' = current_setting('tests.stripe_order') and j.payload ->> 'event' <> 'payment.rejected'),
  'payment.dispute_won 50.5000000000, payment.disputed 50.5000000000, payment.refunded 30.0000000000', 'which the customer is told');

-- In every order, each notice twice: a payment, a dispute of it that was won, and a refund.
create function pg_temp.in_every_order(notices text[] default '{payment.succeeded,dispute.opened,dispute.won,refund 15}', before text[] default '{}')
returns table (outcome text) language plpgsql as $$
declare v_notice text; v_order text;
begin
  if cardinality(notices) > 0 then
    foreach v_notice in array notices loop
      return query select i.outcome from pg_temp.in_every_order(array_remove(notices, v_notice), before || v_notice) i;
    end loop;
    return;
  end if;
  v_order := pg_temp.order_of('alipay', 20);
  foreach v_notice in array before || before loop
    perform pg_temp.bridge(pg_temp.notice(uuidv7()::text, split_part(case when v_notice like 'refund %' then 'payment.refunded' else v_notice end, ' ', 1), jsonb_build_object(
      'payment_id', 'ali-' || v_order, 'effect_id', split_part(v_notice, ' ', 2) || v_order,
      'amount', case when v_notice like 'refund %' then split_part(v_notice, ' ', 2) else '20' end)));
  end loop;
  return query select format('%s %s %s', o.status, trim_scale(o.returned), trim_scale(l.sum)) from data.payment_order o,
    (select sum(e.amount), count(*) from data.ledger_entry e where e.reference like '%' || v_order or e.reference like '%' || v_order || ' %') l
  where o.id = v_order::uuid;
end $$;
select tests.set_now('2026-03-10 12:00:00+00');
select results_eq('select outcome, count(*) from pg_temp.in_every_order() group by outcome', $$values ('paid 15 5', 24::bigint)$$, 'the books end the same');
select is(tests.balance('alice'), 40.5 + 24 * 5, 'to the last decimal');
select results_eq($$select outcome, count(*) from data.payment_event where payment_reference like 'ali-0%' group by outcome order by outcome$$,
  $$values ('booked', 24 * 4::bigint), ('duplicate', 24 * 4::bigint)$$, 'and nothing is left waiting');

-- The wish for automatic top-ups.
select tests.authenticate_as('alice');
select is(api.set_auto_top_up(5, 100, 'alipay')::jsonb - 'updated_at', '{"threshold": "5.0000000000", "amount": "100.0000000000", "channel": "alipay", "executed": false}', 'is recorded, and says that no more is done');
select is(tests.error_code('select api.set_auto_top_up(-1, 100)'), 'invalid_threshold', 'from 0 on');
select api.delete_auto_top_up();
select is_empty('select * from api.auto_top_up', 'and can be taken back');

-- How many.
select is((select count(*) from generate_series(1, 11) i where tests.error_code('select api.create_payment_order(10)') = 'too_many_payment_orders'), 1::bigint, 'ten open orders at a time');

select * from finish();
rollback;
