create or replace function api.apply_price_import(import_id uuid, models text[] default null, valid_from timestamptz default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := app.now();
  v_valid_from constant timestamptz := coalesce(apply_price_import.valid_from, v_now);
  v_import data.price_import;
  v_differences integer;
  v_applied integer;
begin
  if apply_price_import.import_id is null then
    perform app.raise_error('price_import_not_found', 'Name the import that was previewed.');
  elsif v_valid_from < v_now or not isfinite(v_valid_from) then
    perform app.raise_error('invalid_rate', 'valid_from may not lie in the past: what was sold then has been billed.');
  end if;
  v_import := app.find_price_import(apply_price_import.import_id);

  with difference as materialized (
    select c.*
    from app.compare_price_import(v_import, v_valid_from) c
    where c.min_input_tokens is not null and (apply_price_import.models is null or c.model = any (apply_price_import.models))
  ), applied as (
    insert into data.provider_rate (provider, model, min_input_tokens, input_rate, cached_input_rate, cache_write_rate, output_rate,
      request_rate, currency, valid_from, created_at, cache_write_1h_rate, audio_input_rate, image_input_rate, audio_output_rate,
      image_output_rate, character_rate, second_rate, image_rates)
    select d.provider, d.model, d.min_input_tokens, (d.new_rate).input_rate, (d.new_rate).cached_input_rate, (d.new_rate).cache_write_rate,
      (d.new_rate).output_rate, (d.new_rate).request_rate, d.currency, v_valid_from, v_now, (d.new_rate).cache_write_1h_rate,
      (d.new_rate).audio_input_rate, (d.new_rate).image_input_rate, (d.new_rate).audio_output_rate, (d.new_rate).image_output_rate,
      (d.new_rate).character_rate, (d.new_rate).second_rate, (d.new_rate).image_rates
    from difference d
    on conflict on constraint provider_rate_provider_model_min_input_tokens_valid_from_key do nothing
    returning 1
  )
  select (select count(*) from difference), (select count(*) from applied) into strict v_differences, v_applied;
  if v_applied < v_differences then
    perform app.raise_error('duplicate_rate');
  end if;
  return json_build_object('import_id', v_import.id, 'valid_from', v_valid_from, 'rates', v_applied);
end
$$;
revoke all on function api.apply_price_import(uuid, text[], timestamptz) from public;
grant execute on function api.apply_price_import(uuid, text[], timestamptz) to platform_admin;
comment on function api.apply_price_import(uuid, text[], timestamptz) is
$$Puts the prices of an import that differ into force, as preview_price_import shows them: all at once, as new rates from valid_from on.

import_id: the import that was previewed. models: only these, by the provider's name; null: all. valid_from: null: now; the past is refused.
What the source does not say (the price of a call, of characters, of images) stays as it is. Applied again, nothing differs and nothing changes.
Result: {import_id, valid_from, rates: how many were added}. Errors: price_import_not_found 404, invalid_rate 400, duplicate_rate 409.$$;
