create or replace function app.queue_price_announcement() returns trigger
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  perform app.queue_job('announce_price_rises', '{}', 'announce_price_rises');
  return null;
end
$$;
revoke all on function app.queue_price_announcement() from public;
comment on function app.queue_price_announcement() is
$$Trigger: has the worker look whom a scheduled change of prices has to be announced to.$$;

create or replace trigger _600_announce after insert or update on data.provider_rate
  for each row when (new.valid_from > now()) execute function app.queue_price_announcement();
create or replace trigger _600_announce after insert or update on data.exchange_rate
  for each row when (new.valid_from > now()) execute function app.queue_price_announcement();
create or replace trigger _600_announce after insert or update on data.markup_rule
  for each row when (new.valid_from > now()) execute function app.queue_price_announcement();
