create or replace function api.create_redemption_batch(amount numeric, count integer, note text, expires_at timestamptz default null, currency text default 'CNY')
returns table (code text, value text, value_currency text, valid_until timestamptz, batch_id uuid)
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_batch data.redemption_batch;
begin
  if coalesce(create_redemption_batch.count not between 1 and 1000, true) then
    perform app.raise_error('invalid_redemption_batch', 'A batch has 1 to 1000 codes.');
  elsif create_redemption_batch.expires_at <= app.now() then
    perform app.raise_error('invalid_redemption_batch', 'The expiry lies in the future.');
  elsif coalesce(create_redemption_batch.currency !~ '^[A-Z]{3}$', true) then
    perform app.raise_error('invalid_currency');
  end if;
  insert into data.redemption_batch as b (amount, currency, codes, note, expires_at, created_by, created_at)
  values (app.require_amount(create_redemption_batch.amount), create_redemption_batch.currency, create_redemption_batch.count,
    app.require_text(create_redemption_batch.note, 'invalid_redemption_batch', 200), create_redemption_batch.expires_at, app.current_user_id(), app.now())
  returning b.* into v_batch;
  return query
    with made as materialized (
      select app.generate_redemption_code() as code, i from generate_series(1, v_batch.codes) i
    ), stored as (
      insert into data.redemption_code (batch_id, code_hash, code_prefix)
      select v_batch.id, app.hash_redemption_code(m.code), left(m.code, 5) from made m
    )
    select m.code, v_batch.amount::text, v_batch.currency, v_batch.expires_at, v_batch.id from made m order by m.i;
end
$$;
revoke all on function api.create_redemption_batch(numeric, integer, text, timestamptz, text) from public;
grant execute on function api.create_redemption_batch(numeric, integer, text, timestamptz, text) to platform_admin;
comment on function api.create_redemption_batch(numeric, integer, text, timestamptz, text) is
$$Makes a batch of redemption codes. They are shown in this answer and never again.

amount: what each code is worth, at most 10 decimals; best as a JSON string. count: 1 to 1000. note: what they are for. expires_at: null for never.
currency: accounts in this currency may redeem them.
Returns a row per code: code, value, value_currency, valid_until, batch_id; as CSV with Accept: text/csv.
Errors: invalid_amount, invalid_currency, invalid_redemption_batch.$$;
