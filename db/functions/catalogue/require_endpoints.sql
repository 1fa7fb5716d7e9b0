create or replace function app.require_endpoints(endpoints text[], error_code text) returns text[]
language plpgsql immutable
set search_path = ''
as $$
declare
  v_known constant text[] := array['chat/completions', 'completions', 'embeddings', 'responses', 'messages', 'images/generations',
    'audio/speech', 'audio/transcriptions'];
begin
  if endpoints is null or cardinality(endpoints) = 0 or not endpoints operator(pg_catalog.<@) v_known then
    perform app.raise_error(error_code, 'The endpoints are one or more of ' || array_to_string(v_known, ', ') || '.');
  end if;
  return array(select known from unnest(v_known) with ordinality as k (known, n) where known = any (endpoints) order by n);
end
$$;
revoke all on function app.require_endpoints(text[], text) from public;
comment on function app.require_endpoints(text[], text) is
$$A list of AI endpoints as it is stored: each once. Raises error_code when it is empty or names an unknown one.$$;
