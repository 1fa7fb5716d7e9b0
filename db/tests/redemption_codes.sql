begin;
select plan(34);

select tests.create_tenant('globex', currency => 'USD');
select tests.create_user('alice', balance => 0, status => 'pending');
select tests.create_user('bob');
select tests.create_user('gus', tenant => 'globex');
select tests.create_user('root', role => 'platform_admin', balance => 0, status => 'pending');
update data.user_profile set payer_id = tests.user_id('bob') where user_id = tests.user_id('root');
select tests.create_user('member');
update data.user_profile set payer_id = tests.user_id('bob') where user_id = tests.user_id('member');
select tests.set_now('2026-03-10 12:00:00+00');
create temporary table code (n bigint, code text, batch_id uuid);
grant all on code to public;

-- Batches.
select tests.authenticate_as('root');
select is(tests.error_code($$select api.create_redemption_batch(0, 1, 'none')$$), 'invalid_amount', 'a code is worth something');
select is(tests.error_code($$select api.create_redemption_batch(1, 1001, 'many')$$), 'invalid_redemption_batch', 'a batch has 1000 codes at most');
select is(tests.error_code($$select api.create_redemption_batch(1, 0, 'none')$$), 'invalid_redemption_batch', 'and at least one');
select is(tests.error_code($$select api.create_redemption_batch(1, 1, '')$$), 'invalid_redemption_batch', 'and a note');
select is(tests.error_code($$select api.create_redemption_batch(1, 1, 'late', '2026-03-10 12:00:00+00')$$), 'invalid_redemption_batch', 'and an expiry to come');
select is(tests.error_code($$select api.create_redemption_batch(1, 1, 'x', null, 'yuan')$$), 'invalid_currency', 'and a currency');
insert into code select row_number() over (), code, batch_id from api.create_redemption_batch(12.5, 100, 'spring', '2026-03-11 12:00:00+00');
select is((select count(distinct code) from code where code ~ '^([2-9A-HJ-NP-Z]{5}-){3}[2-9A-HJ-NP-Z]{5}$'), 100::bigint, 'the codes are shown');
select results_eq('select amount, currency, codes, note from api.redemption_batch', $$values ('12.5000000000', 'CNY', 100, 'spring')$$, 'the batch is listed');
select is((select count(*) from api.redemption_code c join code on code.batch_id = c.batch_id and left(code.code, 5) = c.code_prefix), 100::bigint, 'its codes by their first characters');
select throws_ok('select code_hash from data.redemption_code', '42501', null, 'not even hashed');
select tests.clear_authentication();
select is((select count(*) from data.redemption_code c, code where to_jsonb(c)::text like '%' || code.code || '%'), 0::bigint, 'nobody keeps a code');

-- Redeeming.
select tests.authenticate_as('alice');
select is(api.redeem_code((select code from code where n = 1))::jsonb - 'entry_id' - 'user_id' - 'reference',
  '{"kind": "redeem", "amount": "12.5000000000", "currency": "CNY", "balance": "12.5000000000", "status": "active"}', 'a code is worth its value, and makes an account active');
select is(tests.error_code(format('select api.redeem_code(%L)', (select code from code where n = 1))), 'redemption_code_used', 'once');
select is(api.redeem_code((select lower(replace(code, '-', ' ')) from code where n = 2)) ->> 'balance', '25.0000000000', 'however it is written');
select throws_ok('select * from api.redemption_code', '42501', null, 'customers see no codes');
select throws_ok('select * from api.redemption_batch', '42501', null, 'and no batches');
select throws_ok($$select api.create_redemption_batch(1, 1, 'mine')$$, '42501', null, 'and make none');
select tests.authenticate_as('gus');
select is(tests.error_code(format('select api.redeem_code(%L)', (select code from code where n = 3))), 'redemption_currency_mismatch', 'not in another currency');
select tests.authenticate_as('member');
select is(api.redeem_code((select code from code where n = 3))::jsonb - 'entry_id' - 'reference', '{"kind": "redeem", "amount": "12.5000000000", "currency": "CNY"}',
  'a member''s code goes to who pays, whose balance is not told');
select tests.clear_authentication();
select is(tests.balance('bob') || ' ' || tests.balance('member'), '112.5000000000 100.0000000000', 'so it does');
select is((select redeemed_by from data.redemption_code c join code on app.hash_redemption_code(code.code) = c.code_hash where n = 3), tests.user_id('member'), 'redeemed by the member');

-- Guessing.
select tests.authenticate_as('bob');
select is((select count(*) from generate_series(1, 10) i where api.redeem_code('GUESS-' || i) ->> 'code' = 'redemption_code_not_found'), 10::bigint, 'ten guesses');
select is(current_setting('response.status'), '404', 'are not found');
select is(tests.error_code(format('select api.redeem_code(%L)', (select code from code where n = 4))), 'too_many_redemptions', 'and no more are looked up');
select tests.authenticate_as('alice');
select is(api.redeem_code((select code from code where n = 4)) ->> 'kind', 'redeem', 'of this user');
select tests.clear_authentication();
select tests.set_now('2026-03-10 13:00:01+00');
select tests.authenticate_as('bob');
select is(api.redeem_code((select code from code where n = 5)) ->> 'kind', 'redeem', 'for a while');

-- The end of a code.
select tests.clear_authentication();
select tests.set_now('2026-03-11 12:00:00+00');
select tests.authenticate_as('bob');
select is(tests.error_code(format('select api.redeem_code(%L)', (select code from code where n = 6))), 'redemption_code_expired', 'a code expires');
select tests.authenticate_as('root');
insert into code select 1000 + row_number() over (), code, batch_id from api.create_redemption_batch(1, 2, 'lost');
select is(api.withdraw_redemption_batch((select batch_id from code where n = 1001))::jsonb - 'id', '{"withdrawn_at": "2026-03-11T12:00:00+00:00", "codes": 2, "redeemed": 0}', 'or is withdrawn');
select is(tests.error_code('select api.withdraw_redemption_batch(gen_random_uuid())'), 'redemption_batch_not_found', 'with its batch');
select tests.authenticate_as('alice');
select is(tests.error_code(format('select api.redeem_code(%L)', (select code from code where n = 1001))), 'redemption_code_expired', 'as well');
select tests.authenticate_as_anonymous();
select throws_ok($$select api.redeem_code('x')$$, '42501', null, 'anonymous: nothing to redeem');
select tests.authenticate_as_gateway();
select throws_ok($$select api.redeem_code('x')$$, '42501', null, 'gateway: nor here');
select tests.clear_authentication();
select is((select count(*) from app.reconcile() where user_id in (tests.user_id('alice'), tests.user_id('bob')) and check_name = 'balance'), 0::bigint, 'the books agree');
select is((select sum(amount) from data.ledger_entry where kind = 'redeem'), 62.5, 'five codes were redeemed');

select * from finish();
rollback;
