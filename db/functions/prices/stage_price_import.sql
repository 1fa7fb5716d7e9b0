create or replace function app.stage_price_import(source text, providers text[], rates jsonb) returns uuid
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_id uuid;
begin
  insert into data.price_import (source, providers, created_at)
  values (stage_price_import.source, stage_price_import.providers, app.now())
  returning id into v_id;
  insert into data.price_import_rate (import_id, provider, model, min_input_tokens, input_rate, cached_input_rate, cache_write_rate,
    cache_write_1h_rate, audio_input_rate, image_input_rate, output_rate, audio_output_rate, image_output_rate, second_rate, currency)
  select v_id, r.provider, r.model, r.min_input_tokens, r.input_rate, r.cached_input_rate, r.cache_write_rate, r.cache_write_1h_rate,
    r.audio_input_rate, r.image_input_rate, r.output_rate, r.audio_output_rate, r.image_output_rate, r.second_rate, r.currency
  from jsonb_to_recordset(stage_price_import.rates) as r (provider text, model text, min_input_tokens integer, input_rate numeric,
    cached_input_rate numeric, cache_write_rate numeric, cache_write_1h_rate numeric, audio_input_rate numeric, image_input_rate numeric,
    output_rate numeric, audio_output_rate numeric, image_output_rate numeric, second_rate numeric, currency text);
  return v_id;
end
$$;
revoke all on function app.stage_price_import(text, text[], jsonb) from public;
grant execute on function app.stage_price_import(text, text[], jsonb) to worker;
comment on function app.stage_price_import(text, text[], jsonb) is
$$Keeps list prices that were read from elsewhere for comparison; no price in force changes. Returns the import's id.

source: where they are from. providers: whose prices the source knows. rates: array of {provider, model, min_input_tokens, input_rate,
output_rate, currency, …} as in provider_rate; decimals as strings.$$;
