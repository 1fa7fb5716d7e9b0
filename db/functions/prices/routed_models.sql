create or replace function app.routed_models()
returns table (provider text, protocol text, model text, endpoints text[])
language sql stable security definer
set search_path = ''
as $$
  select t.provider, p.portkey_provider, t.upstream_model, array_agg(distinct e.name order by e.name)
  from data.model_target t
  join data.provider p on p.name = t.provider
  join data.model m on m.name = t.model and m.is_active
  cross join lateral (select unnest(m.endpoints) intersect select unnest(p.endpoints)) as e (name)
  where t.is_active
  group by t.provider, p.portkey_provider, t.upstream_model
  order by t.provider, t.upstream_model;
$$;
revoke all on function app.routed_models() from public;
grant execute on function app.routed_models() to worker;
comment on function app.routed_models() is
$$What calls are routed to: providers, the protocol each speaks, their names of the models, and the endpoints these are sold on.$$;
