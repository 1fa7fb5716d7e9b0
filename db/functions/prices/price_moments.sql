create or replace function app.price_moments() returns setof timestamptz
language sql stable
set search_path = ''
as $$
  select r.valid_from from data.provider_rate r where r.valid_from > app.now()
  union
  select e.valid_from from data.exchange_rate e where e.valid_from > app.now()
  union
  select m.valid_from from data.markup_rule m where m.valid_from > app.now();
$$;
revoke all on function app.price_moments() from public;
comment on function app.price_moments() is
$$The moments from now on at which a price changes: rates, exchange rates, markups.$$;
