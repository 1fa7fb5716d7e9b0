create or replace function app.price_lines(rates jsonb, usage app.usage_event)
returns table (rate_id uuid, min_input_tokens bigint, currency text, exchange_rate numeric, unit text, quantity numeric, rate numeric,
  per integer, cost numeric, is_substituted boolean)
language plpgsql immutable rows 3
set search_path = ''
as $$
declare
  v_input_tokens constant numeric := coalesce(usage.input_tokens, 0);
  v_cached_input_tokens constant numeric := coalesce(usage.cached_input_tokens, 0);
  v_cache_write_tokens constant numeric := coalesce(usage.cache_write_tokens, 0);
  v_cache_write_1h_tokens constant numeric := coalesce(usage.cache_write_1h_tokens, 0);
  v_audio_input_tokens constant numeric := coalesce(usage.audio_input_tokens, 0);
  v_image_input_tokens constant numeric := coalesce(usage.image_input_tokens, 0);
  v_output_tokens constant numeric := coalesce(usage.output_tokens, 0);
  v_audio_output_tokens constant numeric := coalesce(usage.audio_output_tokens, 0);
  v_image_output_tokens constant numeric := coalesce(usage.image_output_tokens, 0);
  v_images constant numeric := coalesce(usage.images, 0);
  v_characters constant numeric := coalesce(usage.characters, 0);
  v_seconds constant numeric := coalesce(usage.seconds, 0);
  v_tier jsonb;
  v_input_rate numeric;
  v_cache_write_rate numeric;
  v_output_rate numeric;
  v_request_rate numeric;
  v_image_rate numeric;
  v_is_other_image boolean;
  v_dearer_than_input numeric;
  v_dearer_than_cache_write numeric;
  v_dearer_than_output numeric;
begin
  for v_position in 0 .. coalesce(jsonb_array_length(rates), 0) - 1 loop
    if (rates -> v_position ->> 'min_input_tokens')::numeric <= v_input_tokens
      and (v_tier is null or (rates -> v_position ->> 'min_input_tokens')::numeric > (v_tier ->> 'min_input_tokens')::numeric)
    then
      v_tier := rates -> v_position;
    end if;
  end loop;
  if v_tier is null then
    return;
  end if;
  rate_id := (v_tier ->> 'rate_id')::uuid;
  min_input_tokens := (v_tier ->> 'min_input_tokens')::bigint;
  currency := v_tier ->> 'currency';
  exchange_rate := (v_tier ->> 'exchange_rate')::numeric;
  v_input_rate := (v_tier ->> 'input_rate')::numeric;
  v_output_rate := (v_tier ->> 'output_rate')::numeric;
  v_request_rate := (v_tier ->> 'request_rate')::numeric;

  -- What most calls consist of, line by line: a query for them would cost more than they do.
  -- cost is multiplied, not divided: a quotient of numerics may be rounded before its time, a product never is.
  per := 1000000;
  is_substituted := false;
  quantity := v_input_tokens - v_cached_input_tokens - v_cache_write_tokens - v_audio_input_tokens - v_image_input_tokens;
  if quantity > 0 then
    unit := 'input_tokens';
    rate := v_input_rate;
    cost := quantity * rate * 0.000001;
    return next;
  end if;
  if v_cached_input_tokens > 0 then
    unit := 'cached_input_tokens';
    quantity := v_cached_input_tokens;
    rate := coalesce((v_tier ->> 'cached_input_rate')::numeric, v_input_rate);
    cost := quantity * rate * 0.000001;
    return next;
  end if;
  if v_cache_write_tokens > v_cache_write_1h_tokens then
    unit := 'cache_write_tokens';
    quantity := v_cache_write_tokens - v_cache_write_1h_tokens;
    rate := coalesce((v_tier ->> 'cache_write_rate')::numeric, v_input_rate);
    cost := quantity * rate * 0.000001;
    return next;
  end if;
  quantity := v_output_tokens - v_audio_output_tokens - v_image_output_tokens;
  if quantity > 0 then
    unit := 'output_tokens';
    rate := v_output_rate;
    cost := quantity * rate * 0.000001;
    return next;
  end if;
  unit := 'requests';
  quantity := 1;
  rate := v_request_rate;
  per := 1;
  cost := rate;
  return next;

  if not (v_cache_write_1h_tokens > 0 or v_audio_input_tokens > 0 or v_image_input_tokens > 0 or v_audio_output_tokens > 0
    or v_image_output_tokens > 0 or v_images > 0 or v_characters > 0 or v_seconds > 0)
  then
    return;
  end if;
  v_cache_write_rate := coalesce((v_tier ->> 'cache_write_rate')::numeric, v_input_rate);
  -- For a unit without a price of its own: the cheapest of the tier's token prices that is dearer than plain input or output.
  select
    coalesce(min(r.rate::numeric) filter (where r.rate::numeric > v_input_rate), v_input_rate),
    coalesce(min(r.rate::numeric) filter (where r.rate::numeric > v_cache_write_rate), v_cache_write_rate),
    coalesce(min(r.rate::numeric) filter (where r.rate::numeric > v_output_rate), v_output_rate)
  into v_dearer_than_input, v_dearer_than_cache_write, v_dearer_than_output
  from unnest(array[v_tier ->> 'input_rate', v_tier ->> 'cache_write_rate', v_tier ->> 'cache_write_1h_rate',
    v_tier ->> 'audio_input_rate', v_tier ->> 'image_input_rate', v_tier ->> 'output_rate', v_tier ->> 'audio_output_rate',
    v_tier ->> 'image_output_rate']) as r (rate);
  if v_images > 0 then
    select i.rate, i.is_other into v_image_rate, v_is_other_image
    from (
      select (e ->> 'rate')::numeric as rate,
        not coalesce(e ->> 'size' = usage.image_size, not e ? 'size')
          or not coalesce(e ->> 'quality' = usage.image_quality, not e ? 'quality') as is_other,
        (e ? 'size')::integer + (e ? 'quality')::integer as specificity
      from jsonb_array_elements(v_tier -> 'image_rates') as e
    ) i
    -- The most specific price that fits; when none does, the dearest.
    order by i.is_other, case when not i.is_other then i.specificity end desc, i.rate desc
    limit 1;
  end if;

  return query
  select price_lines.rate_id, price_lines.min_input_tokens, price_lines.currency, price_lines.exchange_rate, line.unit, line.quantity, line.rate, line.per,
    line.quantity * line.rate * case line.per when 1000000 then 0.000001 else 1 end,
    line.is_substituted
  from (values
    ('cache_write_1h_tokens', v_cache_write_1h_tokens, coalesce((v_tier ->> 'cache_write_1h_rate')::numeric, v_dearer_than_cache_write),
      1000000, v_tier ->> 'cache_write_1h_rate' is null),
    ('audio_input_tokens', v_audio_input_tokens, coalesce((v_tier ->> 'audio_input_rate')::numeric, v_dearer_than_input), 1000000,
      v_tier ->> 'audio_input_rate' is null),
    ('image_input_tokens', v_image_input_tokens, coalesce((v_tier ->> 'image_input_rate')::numeric, v_dearer_than_input), 1000000,
      v_tier ->> 'image_input_rate' is null),
    ('audio_output_tokens', v_audio_output_tokens, coalesce((v_tier ->> 'audio_output_rate')::numeric, v_dearer_than_output), 1000000,
      v_tier ->> 'audio_output_rate' is null),
    ('image_output_tokens', v_image_output_tokens, coalesce((v_tier ->> 'image_output_rate')::numeric, v_dearer_than_output), 1000000,
      v_tier ->> 'image_output_rate' is null),
    -- Images that were reported in tokens are paid for by these.
    -- One without a price, and without one in the price of the call, counts as the tokens of a large one.
    ('images', v_images, case when v_image_output_tokens > 0 then 0 else coalesce(v_image_rate, case when v_request_rate > 0 then 0
        else 0.00416 * coalesce((v_tier ->> 'image_output_rate')::numeric, v_dearer_than_output) end) end, 1,
      v_image_output_tokens = 0 and (v_is_other_image or v_image_rate is null and v_request_rate = 0)),
    ('characters', v_characters, coalesce((v_tier ->> 'character_rate')::numeric, v_dearer_than_input), 1000000,
      v_tier ->> 'character_rate' is null),
    -- A second of audio is about ten tokens.
    ('seconds', v_seconds,
      coalesce((v_tier ->> 'second_rate')::numeric, 0.00001 * coalesce((v_tier ->> 'audio_input_rate')::numeric, v_dearer_than_input)), 1,
      v_tier ->> 'second_rate' is null)
  ) as line (unit, quantity, rate, per, is_substituted)
  where line.quantity > 0;
end
$$;
revoke all on function app.price_lines(jsonb, app.usage_event) from public;
comment on function app.price_lines(jsonb, app.usage_event) is
$$The lines of a call's wholesale bill: one per unit used. The one place where usage meets prices.

rates: tiers as app.current_rates gives them; the tier is the highest whose min_input_tokens the whole input reaches.
usage: its input_tokens and output_tokens are those of all kinds, its cache_write_tokens those of both lengths; what is null counts as 0. Kinds of tokens do not overlap, but for the totals.
Cached input and 5-minute cache writes without a rate cost as input. Any other unit without a rate of its own costs as the nearest dearer kind
of token, and is_substituted says so; seconds count as ten tokens then, an image as 4160, one of another size or quality as the dearest.
cost: exact, in currency, not rounded. rate: for per units.$$;
