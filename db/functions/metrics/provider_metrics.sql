create or replace function app.provider_metrics() returns table (name text, labels jsonb, value numeric)
language sql stable
set search_path = ''
as $$
  select 'neuropia_target_disabled', jsonb_build_object('provider', t.provider, 'model', t.model),
    max((t.disabled_until > app.now() is true)::integer)::numeric
  from data.model_target t
  where t.is_active
  group by t.provider, t.model
  union all
  select 'neuropia_target_failures', jsonb_build_object('provider', t.provider, 'model', t.model), max(h.consecutive_failures)
  from data.provider_health h
  join data.model_target t on t.id = h.model_target_id and t.is_active
  group by t.provider, t.model
  union all
  select 'neuropia_provider_keys', jsonb_build_object('provider', p.name, 'state', s.state), count(k.id)
  from data.provider p
  cross join (values ('active'), ('resting'), ('refused'), ('inactive')) s (state)
  left join data.provider_key k on k.provider = p.name and s.state = case
    when k.disabled_reason is not null then 'refused'
    when not k.is_active then 'inactive'
    when k.disabled_until > app.now() then 'resting'
    else 'active'
  end
  where p.is_active
  group by p.name, s.state;
$$;
revoke all on function app.provider_metrics() from public;
comment on function app.provider_metrics() is 'The metrics of what the database knows of its providers: failures in a row, and what is out of use for them.';
