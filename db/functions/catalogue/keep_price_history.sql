create or replace function app.keep_price_history() returns trigger
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  if old.valid_from <= app.now() then
    perform app.raise_error('rate_in_force');
  elsif tg_op = 'DELETE' then
    return old;
  elsif new.valid_from <= app.now() then
    perform app.raise_error('rate_in_force');
  end if;
  return new;
end
$$;
revoke all on function app.keep_price_history() from public;
comment on function app.keep_price_history() is
$$Refuses to change or delete a price that is or has been in force, or to put one into the past: calls have been billed by it.$$;

create or replace trigger _050_keep_price_history
before update or delete on data.provider_rate
for each row execute function app.keep_price_history();

create or replace trigger _050_keep_price_history
before update or delete on data.exchange_rate
for each row execute function app.keep_price_history();
